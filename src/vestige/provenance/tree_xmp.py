"""An XMP packet as the tree that it is: properties, structures and lists; bounded, and never raises.

Names are shown with the prefixes that the packet uses; what a property means is decided by namespace in
`vestige.provenance.xmp`, not here.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

from vestige.provenance.tree_node import Node

MAX_PACKET_BYTES = 4_000_000
MAX_ELEMENTS = 20_000
MAX_DEPTH = 48

_LISTS = ("rdf:Bag", "rdf:Seq", "rdf:Alt")


@dataclass
class _Element:
    name: str
    attributes: dict[str, str]
    children: list["_Element"] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


class _RefusedError(Exception):
    """The packet has a document type, or is larger or deeper than any honest one."""


def xmp_nodes(packet: bytes) -> list[Node]:
    """Properties of a packet; of a broken packet those before the fault, and a word about it."""
    root = _Element("", {})
    open_elements = [root]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1 + len(attributes)
        if count > MAX_ELEMENTS:
            raise _RefusedError(f"it has more than {MAX_ELEMENTS} elements and attributes")
        if len(open_elements) > MAX_DEPTH:
            raise _RefusedError(f"it is more than {MAX_DEPTH} levels deep")
        element = _Element(name, attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def refuse(*_: object) -> None:
        raise _RefusedError("it declares a document type or entities, which XMP forbids")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.CharacterDataHandler = lambda text: open_elements[-1].text.append(text)
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    fault = []
    try:
        parser.Parse(packet[:MAX_PACKET_BYTES].strip(b"\0 \t\r\n"), True)
    except _RefusedError as error:
        fault = [Node("(unread)", f"the packet was refused: {error}")]
        root.children.clear()
    except (expat.ExpatError, ValueError, LookupError) as error:
        fault = [Node("(damaged)", f"the packet breaks off: {error}")]
    return [*_properties(root), *fault]


def _properties(root: _Element) -> list[Node]:
    """What the wrappers `x:xmpmeta`, `rdf:RDF` and `rdf:Description` hold, without them."""
    found: list[Node] = []
    for element in root.children:
        if element.name in ("x:xmpmeta", "x:xapmeta", "rdf:RDF", "rdf:Description"):
            found += _attributes(element)
            found += _properties(element)
        else:
            found.append(_node(element))
    return found


def _node(element: _Element, name: str = "") -> Node:
    below = _attributes(element)
    for child in element.children:
        if child.name in _LISTS:
            below += [_node(item, _item_name(item, number)) for number, item in enumerate(child.children, 1)]
        elif child.name == "rdf:Description":
            below += _attributes(child) + [_node(inner) for inner in child.children]
        else:
            below.append(_node(child))
    return Node(name or element.name, "".join(element.text).strip(), tuple(below))


def _attributes(element: _Element) -> list[Node]:
    """Attributes as entries, without declarations of namespaces and marks of the notation."""
    return [
        Node(name, value)
        for name, value in element.attributes.items()
        if not name.startswith("xmlns") and name not in ("rdf:about", "rdf:parseType", "xml:lang", "x:xmptk")
    ]


def _item_name(item: _Element, number: int) -> str:
    language = item.attributes.get("xml:lang")
    return f"{number} ({language})" if language else str(number)
