"""Rewrite an exported graph so that its large matrices are multiplied in 8 bits (static quantisation).

Weights become int8 with a step for each column, activations uint8 with one fixed range each, so that the
score of a view does not depend on its batch. Before that, channels of activations that reach far are made
smaller and the rows of the weights that meet them larger (SmoothQuant; Xiao et al., ICML 2023).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from safetensors.numpy import save

from vestige.errors import ConfigError, ModelPackageError
from vestige.inference.card import TOWER_MAP, TOWER_SCALES, Quantisation
from vestige.inference.tower_weights import Array, Int8, Part, dump_parts, parse_parts, quantised, read
from vestige.training.activation_ranges import Range, measure
from vestige.training.export_tower import PLACE
from vestige.training.package_recipe import QuantisationSection
from vestige.training.quantise_graph import (
    AttentionValues,
    Layer,
    Wiring,
    find_layers,
    norm_before,
    values_before,
)

MARGIN = 1.02  # other pictures go a little beyond those that were measured
WORST = 0.5
TINY = np.float32(1e-12)  # steps are above 0 even where all values are
SMOOTHED = (1e-3, 1e4)  # no channel is scaled by less or more


class _Plan(NamedTuple):
    """How one activation and the layers that take it become whole numbers.

    Attributes:
        scales: its channels are divided by them, [C]; None: they stay as they are.
        source: what is rescaled for that.
        step, zero: value = step * (number - zero).
    """

    layers: list[Layer]
    scales: Array | None
    source: NodeProto | AttentionValues | None
    step: np.float32
    zero: np.uint8


def quantise(
    graph: Path,
    section: QuantisationSection,
    views: npt.NDArray[np.uint8],
    tower: Path | None = None,
    logit: str = "logit",
) -> Quantisation:
    """Rewrite an ONNX file, and `tower.json` beside it if it is there, which then has scales beside it.

    Args:
        graph: the ONNX file.
        views: calibration views, uint8 [N, S, S, 3].
        tower: file of the frozen weights, if they were split off.
        logit: name of the output that the error is measured of.

    Returns:
        What the card says of it.

    Raises:
        ConfigError: the graph has nothing to quantise.
        ModelPackageError: the logits differ from those of the given graph by more than half of their standard
            deviation; or the file of `tower` is not the one that was split off.
    """
    model = onnx.load(graph, load_external_data=False)
    parts: dict[str, Part] = {}
    if tower is not None:
        parts = parse_parts((graph.parent / TOWER_MAP).read_bytes(), graph.parent / TOWER_MAP)
    floats = {} if tower is None else read(tower, parts)
    outside = {name: np.asarray(values, dtype=np.float32) for name, values in floats.items()}
    rewriting = _Rewriting(model, parts, outside, section.levels)
    layers, kept = find_layers(model.graph, rewriting.wiring)
    names = list(dict.fromkeys(layer.given for layer in layers))
    before, ranges = measure(model, graph.parent, views, names, logit, outside)
    taking = {name: [layer for layer in layers if layer.given == name] for name in names}
    plans = rewriting.plan(taking, ranges, section)
    planned = {layer.weight for plan in plans for layer in plan.layers}
    kept += [layer.title for layer in layers if layer.weight not in planned]
    if not plans:
        why = f"; kept in float32: {', '.join(kept)}" if kept else ""
        raise ConfigError(
            f"package.quantisation: the graph has no large layer that can be quantised{why}; leave the "
            "section out"
        )
    rewriting.apply(plans)
    rewriting.save(graph)
    # Read as the field kit reads it, so that what is measured is what users get.
    whole = {} if tower is None else read(tower, rewriting.parts, rewriting.scales)
    after, _ = measure(model, graph.parent, views, [], logit, whole)
    return Quantisation(
        levels=section.levels, pictures=len(views), kept=sorted(kept), error=_error(before, after)
    )


def _error(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    spread = before.std()
    if not spread > 0:
        raise ModelPackageError(
            f"the graph gives {before[0]:.3g} for all {len(before)} calibration pictures, which tells "
            "nothing of what quantising costs; use other pictures or leave package.quantisation out"
        )
    error = float(np.sqrt(np.mean((after - before) ** 2)) / spread)
    if not error <= WORST:
        raise ModelPackageError(
            f"the quantised graph's logits differ from those in float32 by {error:.2g} of their standard "
            f"deviation, allowed is {WORST:g}; raise package.quantisation.levels, lower its outliers or "
            "leave the section out"
        )
    return error


class _Rewriting:
    """A graph on its way, the values of its initialisers, and the scales of those that lie outside."""

    def __init__(
        self, model: onnx.ModelProto, parts: dict[str, Part], outside: dict[str, Array], levels: int
    ) -> None:
        self.model, self.parts, self.outside, self.levels = model, parts, outside, levels
        self.wiring = Wiring(model.graph)
        self.scales: dict[str, Array] = {}
        self._columns: dict[str, Array] = {}
        self._added: list[TensorProto] = []
        self._replaced: set[str] = set()

    def values(self, name: str) -> Array:
        """Of an initialiser of the graph as it was, wherever they lie."""
        if name in self.outside:
            return self.outside[name]
        return np.asarray(numpy_helper.to_array(self.wiring.constants[name]), dtype=np.float32)

    def plan(
        self, taking: dict[str, list[Layer]], ranges: dict[str, Range], section: QuantisationSection
    ) -> list[_Plan]:
        """For the activations that can be whole numbers, in the order of the graph.

        Args:
            taking: activation -> the layers that take it.

        Raises:
            ModelPackageError: an activation is not finite.
        """
        plans: list[_Plan] = []
        planned: set[str] = set()
        for name, layers in taking.items():
            found = ranges[name]
            if not np.isfinite(found.reach).all():
                raise ModelPackageError(
                    f"the graph gives values that are not finite before {layers[0].title}"
                )
            source: NodeProto | AttentionValues | None = None
            if section.smoothing > 0:
                values = values_before(self.wiring, layers)
                # Only where it becomes int8 can the weight of the values take the scales in.
                there = values is not None and values.product.output[0] in planned
                source = values if there else norm_before(self.wiring, layers)
            if source is None and found.reach.max() > section.outliers * np.quantile(found.reach, 0.99):
                continue
            scales = None if source is None else self._scales(layers, found.reach, section.smoothing)
            divisor = np.float32(1) if scales is None else scales
            low = MARGIN * min(0.0, float((found.low / divisor).min()))
            high = MARGIN * max(0.0, float((found.high / divisor).max()))
            step = max(np.float32((high - low) / 255), TINY)
            zero = np.uint8(np.clip(np.rint(-low / step), 0, 255))
            plans.append(_Plan(layers, scales, source, step, zero))
            planned |= {layer.node.output[0] for layer in layers}
        return plans

    def _scales(self, layers: list[Layer], reach: Array, alpha: float) -> Array:
        rows = np.max([np.abs(self.values(layer.weight)).max(1) for layer in layers], axis=0)
        wanted = reach**alpha / np.maximum(rows, 1e-5) ** (1 - alpha)
        return np.asarray(np.clip(wanted, *SMOOTHED), dtype=np.float32)

    def apply(self, plans: list[_Plan]) -> None:
        """Rewrite nodes and initialisers."""
        before: dict[str, list[NodeProto]] = {}
        for plan in plans:
            if plan.scales is not None:
                self._rescale(plan.source, plan.scales)
        for plan in plans:
            name = plan.layers[0].given
            before[plan.layers[0].node.output[0]] = self._activation(name, plan.step, plan.zero)
            for layer in plan.layers:
                before.setdefault(layer.node.output[0], []).append(self._weight(layer, plan.scales))
                layer.node.input[0] = f"{name}_restored"
        graph = self.model.graph
        nodes = [one for node in graph.node for one in (*before.get(node.output[0], ()), node)]
        used = {name for node in nodes for name in node.input}
        unused = {name for name in self._replaced if name not in used}
        left = [one for one in graph.initializer if one.name not in unused]
        self.parts = {name: part for name, part in self.parts.items() if name not in unused}
        del graph.node[:]
        graph.node.extend(nodes)
        del graph.initializer[:]
        graph.initializer.extend([*left, *self._added])

    def _rescale(self, source: NodeProto | AttentionValues | None, scales: Array) -> None:
        if isinstance(source, AttentionValues):
            place = list(source.sum.input).index(source.bias)
            source.sum.input[place] = self._divided(source.bias, scales, source.sum.output[0])
            self._columns[source.product.output[0]] = scales
        elif source is not None:
            for place, name in list(enumerate(source.input))[1:3]:
                if name:
                    source.input[place] = self._divided(name, scales, source.output[0])

    def _divided(self, name: str, scales: Array, user: str) -> str:
        # A copy of its own: others may use the same vector.
        return self._add(f"{name}_for_{user}", self.values(name) / scales, instead_of=name)

    def _activation(self, name: str, step: np.float32, zero: np.uint8) -> list[NodeProto]:
        given = [self._add(f"{name}_step", np.asarray(step)), self._add(f"{name}_zero", np.asarray(zero))]
        return [
            helper.make_node("QuantizeLinear", [name, *given], [f"{name}_uint8"]),
            helper.make_node("DequantizeLinear", [f"{name}_uint8", *given], [f"{name}_restored"]),
        ]

    def _weight(self, layer: Layer, rows: Array | None) -> NodeProto:
        """The node that restores a layer's weight, which is now int8."""
        name, divisor = layer.weight, self._columns.get(layer.node.output[0])
        weight = self.values(name)
        scaled = weight if rows is None else weight * rows[:, None]
        scaled = scaled if divisor is None else scaled / divisor
        steps = np.maximum(np.abs(scaled).max(0) / np.float32(self.levels), TINY)
        columns = steps if divisor is None else steps * divisor
        number = f"{name}_int8"
        if name in self.parts:
            self._outside(name, number, layer.given, rows, columns)
        else:
            self._add(number, quantised(weight, rows, columns, self.levels), instead_of=name)
        given = [
            number,
            self._add(f"{name}_steps", steps),
            self._add(f"{name}_zeros", np.zeros(len(steps), np.int8)),
        ]
        layer.node.input[1] = f"{name}_restored"
        return helper.make_node("DequantizeLinear", given, [f"{name}_restored"], axis=1)

    def _outside(self, name: str, number: str, given: str, rows: Array | None, columns: Array) -> None:
        self.scales[f"{name}.columns"] = columns
        if rows is not None:
            self.scales[f"{given}.rows"] = rows
        whole = Int8(
            columns=f"{name}.columns", rows=None if rows is None else f"{given}.rows", levels=self.levels
        )
        self.parts[number] = self.parts[name].model_copy(update={"int8": whole})
        tensor = TensorProto(name=number, data_type=TensorProto.INT8, dims=self.wiring.constants[name].dims)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=PLACE)
        self._added.append(tensor)
        self._replaced.add(name)

    def _add(self, name: str, values: npt.NDArray[np.generic], instead_of: str | None = None) -> str:
        self._added.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        if instead_of is not None:
            self._replaced.add(instead_of)
        return name

    def save(self, graph: Path) -> None:
        """The ONNX file, and beside it, if weights lie outside, their map and scales."""
        onnx.save(self.model, graph)
        if self.parts:
            (graph.parent / TOWER_MAP).write_bytes(dump_parts(self.parts))
        if self.scales:
            (graph.parent / TOWER_SCALES).write_bytes(save(dict(sorted(self.scales.items()))))
