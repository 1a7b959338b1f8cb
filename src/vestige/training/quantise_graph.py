"""Which layers of an exported graph can be multiplied in 8 bits, and what stands before them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, numpy_helper

SMALLEST = 2**16  # weights; smaller matrices, such as heads, take no time and lose the most
HEADS_APART = [0, 2, 1, 3]  # [B, N, H, D] <-> [B, H, N, D]


class Layer(NamedTuple):
    """A product of an activation with a constant matrix.

    Attributes:
        node: the MatMul.
        title: what the exporter calls it, as far as its bias or weight tells.
    """

    node: NodeProto
    title: str

    @property
    def given(self) -> str:
        """Name of the activation."""
        return str(self.node.input[0])

    @property
    def weight(self) -> str:
        """Name of the matrix."""
        return str(self.node.input[1])


class AttentionValues(NamedTuple):
    """What makes the values of an attention: a product and the bias added to it."""

    product: NodeProto
    sum: NodeProto
    bias: str


class Wiring:
    """Who makes and who uses the tensors of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {one.name: one for one in graph.initializer}
        self.made = {name: node for node in graph.node for name in node.output if name}
        self.outputs = {one.name for one in graph.output}
        self._users: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in _taken(node):
                self._users[name].append(node)

    def users(self, name: str) -> list[NodeProto]:
        """Nodes that take a tensor, as often as they take it, in or outside of a subgraph."""
        return self._users.get(name, [])

    def maker(self, name: str, kind: str) -> NodeProto | None:
        """The node of this kind that makes a tensor for a single user; None: another, or not for it alone."""
        node = self.made.get(name)
        alone = len(self.users(name)) == 1 and name not in self.outputs
        return node if node is not None and node.op_type == kind and alone else None

    def vector(self, name: str, length: int) -> bool:
        """Whether this is a constant of so many float32 numbers in one row."""
        found = self.constants.get(name)
        return found is not None and found.data_type == TensorProto.FLOAT and list(found.dims) == [length]

    def whole_numbers(self, name: str) -> list[int] | None:
        """Those of a constant list, such as a shape; None: it is none."""
        found = self.constants.get(name)
        if found is None or found.data_type != TensorProto.INT64 or len(found.dims) != 1:
            return None
        return [int(number) for number in numpy_helper.to_array(found)]


def find_layers(graph: onnx.GraphProto, wiring: Wiring) -> tuple[list[Layer], list[str]]:
    """Products with large constant matrices, in the order of the graph.

    Returns:
        Those whose matrix nothing else uses, and the titles of the others.
    """
    layers: list[Layer] = []
    others: list[str] = []
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[0] in wiring.constants:
            continue
        weight = wiring.constants.get(node.input[1])
        if weight is None or len(weight.dims) != 2 or weight.data_type != TensorProto.FLOAT:
            continue
        if np.prod(weight.dims) < SMALLEST:
            continue
        layer = Layer(node, _title(node, wiring))
        if len(wiring.users(layer.weight)) == 1 and layer.weight not in wiring.outputs:
            layers.append(layer)
        else:
            others.append(layer.title)
    return layers, others


def norm_before(wiring: Wiring, layers: list[Layer]) -> NodeProto | None:
    """The LayerNormalization whose channels can be scaled against the rows of these layers' matrices.

    Args:
        layers: all that take the same activation.

    Returns:
        None: something else made the activation, or something else uses it, too.
    """
    name = layers[0].given
    norm = wiring.made.get(name)
    if norm is None or norm.op_type != "LayerNormalization" or norm.output[0] != name:
        return None
    if name in wiring.outputs or len(wiring.users(name)) != len(layers):
        return None
    axis = next((attribute.i for attribute in norm.attribute if attribute.name == "axis"), -1)
    length = wiring.constants[layers[0].weight].dims[0]
    scaled = [given for given in norm.input[1:3] if given]
    return norm if axis == -1 and all(wiring.vector(given, length) for given in scaled) else None


def values_before(wiring: Wiring, layers: list[Layer]) -> AttentionValues | None:
    """What makes the values of the attention whose output these layers take, channel for channel.

    The pattern is Reshape(Transpose(MatMul(shares, Transpose(Reshape(Add(MatMul(., weight), bias)))))), and
    nothing else may use anything on the way.

    Returns:
        None: it is not there.
    """
    length = wiring.constants[layers[0].weight].dims[0]
    joined = wiring.maker(layers[0].given, "Reshape")
    if joined is None or (wiring.whole_numbers(joined.input[1]) or [0])[-1] != length:
        return None
    back = wiring.maker(joined.input[0], "Transpose")
    mixed = None if back is None or _order(back) != HEADS_APART else wiring.maker(back.input[0], "MatMul")
    apart = None if mixed is None else wiring.maker(mixed.input[1], "Transpose")
    split = None if apart is None or _order(apart) != HEADS_APART else wiring.maker(apart.input[0], "Reshape")
    if split is None:
        return None
    heads = wiring.whole_numbers(split.input[1]) or []
    if len(heads) != 4 or heads[2] < 1 or heads[2] * heads[3] != length:
        return None
    total = wiring.maker(split.input[0], "Add")
    if total is None:
        return None
    for bias, other in (total.input, total.input[::-1]):
        product = wiring.maker(other, "MatMul")
        if product is not None and wiring.vector(bias, length):
            return AttentionValues(product, total, str(bias))
    return None


def _taken(node: NodeProto) -> Iterable[str]:
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        inner = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
        for graph in inner:
            for one in graph.node:
                yield from _taken(one)
            yield from (output.name for output in graph.output)


def _order(node: NodeProto) -> list[int]:
    return next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])


def _title(node: NodeProto, wiring: Wiring) -> str:
    # The exporter numbers the matrices that it transposes; biases keep the names that they have in PyTorch.
    for user in wiring.users(node.output[0]):
        for name in user.input:
            if user.op_type == "Add" and name in wiring.constants and name.endswith(".bias"):
                return str(name).removesuffix(".bias")
    return str(node.input[1]).removesuffix(".weight")
