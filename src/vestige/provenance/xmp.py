"""The XMP packet: a bounded, namespace-aware reader of its top-level properties.

Built on expat's events and not on a document tree, so that a document type, entities, depth and size can be
refused while reading, and a packet that breaks off still gives what came before.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_PACKET_BYTES = 4_000_000
MAX_NODES = 50_000
MAX_DEPTH = 64

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
XMP = "http://ns.adobe.com/xap/1.0/"
XMP_MM = "http://ns.adobe.com/xap/1.0/mm/"
EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
DC = "http://purl.org/dc/elements/1.1/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TIFF = "http://ns.adobe.com/tiff/1.0/"
EXIF = "http://ns.adobe.com/exif/1.0/"
EXIF_EX = "http://cipa.jp/exif/1.0/"
AUX = "http://ns.adobe.com/exif/1.0/aux/"
TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"

_SEPARATOR = " "  # cannot occur in a namespace name
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]{0,200}\?>")


def _name(namespace: str, local: str) -> str:
    return namespace + _SEPARATOR + local


_RDF_ROOT = _name(RDF, "RDF")
_DESCRIPTION = _name(RDF, "Description")
_ITEM = _name(RDF, "li")
_RESOURCE = _name(RDF, "resource")
_CONTAINERS = (_name(RDF, "Bag"), _name(RDF, "Seq"), _name(RDF, "Alt"))
_LANGUAGE = _name(XML, "lang")


@dataclass
class _Node:
    name: str
    attributes: dict[str, str]
    children: list["_Node"] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


class _RefusedError(Exception):
    """The packet has a document type, or is larger or deeper than any honest one."""


class Packet:
    """Top-level properties of an XMP packet, by namespace and local name."""

    def __init__(self, descriptions: list[_Node]) -> None:
        self._attributes: dict[str, list[str]] = {}
        self._elements: dict[str, list[_Node]] = {}
        for description in descriptions:
            for name, value in description.attributes.items():
                self._attributes.setdefault(name, []).append(value)
            for child in description.children:
                self._elements.setdefault(child.name, []).append(child)

    def texts(self, namespace: str, local: str) -> list[str]:
        """All values of a property: an attribute, an element, or the items of a Bag, Seq or Alt.

        Of an Alt only the default language is given.
        """
        name = _name(namespace, local)
        found = list(self._attributes.get(name, []))
        for node in self._elements.get(name, []):
            found.extend(_values(node))
        return [text.strip() for text in found if text.strip()]

    def text(self, namespace: str, local: str) -> str:
        """The first value of a property, or an empty string."""
        return next(iter(self.texts(namespace, local)), "")

    def structures(self, namespace: str, local: str) -> list[dict[tuple[str, str], str]]:
        """Items of a list of structures (such as the history), as (namespace, local name) to text."""
        nodes = self._elements.get(_name(namespace, local), [])
        return [_fields(item) for node in nodes for item in _items(node)]


def parse_xmp(packet: bytes) -> Packet:
    """Reads the packet as far as it is well-formed; never raises.

    A packet with a document type or entity declarations gives nothing: XMP forbids both.
    """
    text = _decode(packet[:MAX_PACKET_BYTES])
    builder = _Builder()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except _RefusedError:
        return Packet([])
    except expat.ExpatError:
        pass  # cut or broken: what came before the fault still counts
    return Packet(list(_descriptions(builder.root)))


def _decode(packet: bytes) -> str:
    """The packet as text, whatever its encoding, without the XML declaration and the padding around it."""
    for mark, encoding in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    ):
        if packet.startswith(mark):
            text = packet.decode(encoding, "replace")
            break
    else:
        text = packet.decode("utf-8", "replace")
    text = text.strip("\ufeff\0 \t\r\n")
    declaration = _DECLARATION.match(text)
    return text[declaration.end() :] if declaration else text


class _Builder:
    """Collects expat's events into nodes, within the limits."""

    def __init__(self) -> None:
        self.root = _Node("", {})
        self._open = [self.root]
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1 + len(attributes)
        if self._count > MAX_NODES or len(self._open) > MAX_DEPTH:
            raise _RefusedError
        node = _Node(name, attributes)
        self._open[-1].children.append(node)
        self._open.append(node)

    def end(self, name: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def refuse(self, *_: object) -> None:
        raise _RefusedError


def _descriptions(root: _Node) -> Iterator[_Node]:
    """The rdf:Description elements that stand directly in rdf:RDF, wherever that is."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.name == _RDF_ROOT:
            yield from (child for child in node.children if child.name == _DESCRIPTION)
        else:
            waiting.extend(reversed(node.children))


def _values(node: _Node) -> list[str]:
    if _RESOURCE in node.attributes:
        return [node.attributes[_RESOURCE]]
    for container in node.children:
        if container.name not in _CONTAINERS:
            continue
        items = [child for child in container.children if child.name == _ITEM]
        if container.name == _CONTAINERS[2]:
            default = [item for item in items if item.attributes.get(_LANGUAGE) == "x-default"]
            items = (default or items)[:1]
        return [item.attributes.get(_RESOURCE) or "".join(item.text) for item in items]
    return [] if node.children else ["".join(node.text)]


def _items(node: _Node) -> list[_Node]:
    containers = [child for child in node.children if child.name in _CONTAINERS]
    return [item for container in containers for item in container.children if item.name == _ITEM]


def _fields(item: _Node) -> dict[tuple[str, str], str]:
    """Fields of one structure: attributes, child elements, or both inside a nested rdf:Description."""
    found: dict[tuple[str, str], str] = {}
    for node in [item, *(child for child in item.children if child.name == _DESCRIPTION)]:
        values = dict(node.attributes)
        values.update({child.name: "".join(child.text) for child in node.children})
        for name, value in values.items():
            namespace, _, local = name.rpartition(_SEPARATOR)
            found.setdefault((namespace, local), value.strip())
    return found
