"""Metadata blocks made by hand or by Pillow, as real files hold them."""

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

INFOTEXT = (
    "a lighthouse at dusk, oil on canvas, (waves:1.2)\n"
    "Negative prompt: blurry, text\n"
    "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, "
    'Model hash: 45dee52b, Model: sd-v1-4, Lora hashes: "sea: 1f, sky: 2e", Version: v1.10.1'
)

COMFY_PROMPT = """{
 "3": {"class_type": "KSampler", "inputs": {"seed": 8566257, "steps": 20, "cfg": 8, "sampler_name": "euler",
   "scheduler": "normal", "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
   "latent_image": ["5", 0]}},
 "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreamshaper_8.safetensors"}},
 "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
 "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "glass bottle with a galaxy", "clip": ["4", 1]}},
 "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
 "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}}
}"""

COMFY_WORKFLOW = """{"last_node_id": 9, "last_link_id": 9, "links": [[1, 4, 0, 3, 0, "MODEL"]],
 "nodes": [
  {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["dreamshaper_8.safetensors"]},
  {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["glass bottle with a galaxy"]},
  {"id": 3, "type": "KSampler", "widgets_values": [8566257, "randomize", 20, 8, "euler", "normal", 1]}]}"""

_NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
}


def exif_block(
    image: Mapping[int, Any] | None = None,
    photo: Mapping[int, Any] | None = None,
    gps: Mapping[int, Any] | None = None,
    big_endian: bool = False,
) -> bytes:
    """An EXIF block as Pillow writes it."""
    exif = Image.Exif()
    if big_endian:
        exif.endian = ">"
    exif.update(image or {})
    exif.get_ifd(0x8769).update(photo or {})
    exif.get_ifd(0x8825).update(gps or {})
    return exif.tobytes().removeprefix(b"Exif\0\0")


CAMERA_IMAGE = {0x010F: "Canon", 0x0110: "Canon EOS 5D", 0x0132: "2019:07:15 09:00:00"}
CAMERA_PHOTO = {
    0x829A: IFDRational(1, 125),
    0x829D: IFDRational(28, 10),
    0x8827: 200,
    0x920A: IFDRational(50, 1),
    0x9003: "2019:07:14 12:01:02",
    0x9011: "+02:00",
}


def xmp_packet(attributes: str = "", elements: str = "") -> bytes:
    """An XMP packet with properties as attributes and as elements of one rdf:Description."""
    namespaces = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in _NAMESPACES.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {namespaces} {attributes}>{elements}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc_block(*records: tuple[int, int, bytes]) -> bytes:
    """IPTC-IIM records: (record, dataset, data)."""
    return b"".join(
        b"\x1c" + bytes((record, dataset)) + len(data).to_bytes(2, "big") + data
        for record, dataset, data in records
    )


def png_text(fields: Mapping[str, str]) -> dict[str, str]:
    """The text chunks of a PNG file after writing and reading them."""
    info = PngImagePlugin.PngInfo()
    for key, value in fields.items():
        info.add_itxt(key, value)
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG", pnginfo=info)
    with Image.open(file) as image:
        image.load()
        assert isinstance(image, PngImagePlugin.PngImageFile)
        return dict(image.text)
