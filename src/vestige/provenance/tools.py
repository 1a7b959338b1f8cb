"""Names of programs and services, as they stand in fields that name the maker of a picture.

A false accusation weighs more than a miss. So names are looked for only in fields that name a tool or give
credit, never in captions; names of companies, which also hand out photographs, count only in tool fields; and
a name after "not" or "no" does not count.
"""

import re
from typing import Literal, NamedTuple

from vestige.provenance.text import one_line

MAX_CHARACTERS = 300


class Tool(NamedTuple):
    """A known program: what it is, in words that follow its name, and what its use points to."""

    words: str
    points_to: Literal["generated", "edited"]


_GENERATOR = Tool("an image generator", "generated")
_EDITOR = Tool("an image editor", "edited")
_AI_EDITOR = Tool("an AI image editor", "edited")

# Tools that change an existing picture with AI; asked first, since their names contain the generators'.
_AI_EDITORS = (
    r"\bedited (?:with|by|using) (?:\w+ ){0,2}ai\b",
    r"\b(?:modified with|apple photos) clean ?up\b",
    r"\bmagic (?:eraser|editor)\b",
    r"\bgenerative (?:fill|expand|remove)\b",
    r"\bfaceapp\b",
    r"\btopaz (?:photo|gigapixel|denoise|sharpen)",
    r"\bgigapixel ai\b",
    r"\bremini\b",
)
_PRODUCTS = (
    r"\badobe firefly\b",
    r"\bmidjourney\b",
    r"\bniji[ -]?journey\b",
    r"\bdall[ ·•-]?e\b",
    r"\bchatgpt\b",
    r"\bgpt-image\b",
    r"\bstable[ _-]?diffusion\b",
    r"\bsdxl\b",
    r"\bdreamstudio\b",
    r"\bcomfy ?ui\b",
    r"\binvoke[ -]?ai\b",
    r"\bfooocus\b",
    r"\bdraw things\b",
    r"\bnovel ?ai\b",
    r"\bautomatic1111\b",
    r"\beasy diffusion\b",
    r"\b(?:stable)?swarmui\b",
    r"\bsd\.next\b",
    r"\bleonardo[. ]?ai\b",
    r"\bideogram\b",
    r"\bmade with google ai\b",
    r"\b(?:created|generated) (?:with|by|using) google ai\b",
    r"\bgoogle (?:gemini|imagen)\b",
    r"\bimagen[ -]?\d",
    r"\bnano banana\b",
    r"\bbing image creator\b",
    r"\bimage creator (?:in|from|by) (?:bing|microsoft|designer)\b",
    r"\bmicrosoft copilot\b",
    r"\bgrok (?:imagine|image|ai)\b",
    r"\bxai grok\b",
    r"\bgrok\W{1,3}xai\b",
    r"\bflux[. ]1\b",
    r"\bflux[. ]?\d?[ -]?(?:pro|dev|schnell|kontext)\b",
    r"\b(?:made|imagined|created) with (?:meta )?ai\b",
    r"\b(?:apple )?image playground\b",
    r"\brecraft\b",
    r"\bkrea\.?ai\b",
    r"\bnightcafe\b",
    r"\bcraiyon\b",
    r"\bplayground ai\b",
    r"\bartbreeder\b",
    r"\bstyle ?gan\d?\b",
    r"\bthispersondoesnotexist\b",
    r"\bseedream\b",
    r"\bdreamina\b",
    r"\bhunyuan ?image\b",
    r"\bqwen[ -]image\b",
    r"\bcivitai\b",
    r"\btensor\.art\b",
    r"\bseaart\b",
    r"\bpixai\b",
    r"\bgenerative ai by (?:getty|istock)\b",
    r"\b(?:made|created|generated) (?:with|by|using) (?:an? )?(?:generative )?ai\b",
    r"\b(?:made|created|generated) (?:with|by|using) artificial intelligence\b",
    r"\bai[ -]generated\b",
    r"豆包|即梦|通义万相|文心一格",
)
_COMPANIES = (
    r"\bopenai\b",
    r"\bstability[ .]?ai\b",
    r"\bgoogle ai\b",
    r"^gemini(?: app)?$",
    r"\bgemini[ -]\d",
    r"\bx\.?ai\b",
    r"\bgrok\b",
    r"\bmeta ai\b",
    r"\bblack forest labs\b",
    r"\bdiffusers\b",
)
_EDITORS = (
    r"\bphotoshop\b",
    r"\blightroom\b",
    r"\bcamera raw\b",
    r"\bgimp\b",
    r"\bsnapseed\b",
    r"\baffinity\b",
    r"\bcapture one\b",
    r"\bdarktable\b",
    r"\brawtherapee\b",
    r"\bluminar\b",
    r"\bpixelmator\b",
    r"\bphotomator\b",
    r"\bpaint ?shop\b",
    r"\bpaint\.net\b",
    r"\bkrita\b",
    r"\bon1\b",
    r"\bdxo\b",
    r"\bnik collection\b",
    r"\bpicsart\b",
    r"\bvsco\b",
    r"\bcanva\b",
    r"\bfacetune\b",
    r"\bmeitu\b",
    r"\bbeautyplus\b",
    r"\bpolarr\b",
    r"\bfotor\b",
    r"\bpixlr\b",
    r"\bphotopea\b",
    r"\bphotoscape\b",
    r"\bacdsee\b",
    r"\bcorel\b",
    r"\bpicasa\b",
    r"\bprisma\b",
    r"\bacorn\b",
    r"\baperture \d",
    r"\bphotos \d",
    r"\bphoto editor\b",
)
_NEGATION = re.compile(r"\b(?:not|no|non|never|without|nicht|kein|keine|pas|sans|sin)\b", re.IGNORECASE)


def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_FOUND_IN_CREDITS = ((_any(_AI_EDITORS), _AI_EDITOR), (_any(_PRODUCTS), _GENERATOR))
_FOUND_IN_TOOLS = (*_FOUND_IN_CREDITS, (_any(_COMPANIES), _GENERATOR), (_any(_EDITORS), _EDITOR))


def tool_named_by(text: str, *, credit: bool = False) -> Tool | None:
    """The known tool that a field names, or None.

    Args:
        text: the field.
        credit: the field names people and agencies as well (credit, author), so be stricter.
    """
    text = one_line(text, MAX_CHARACTERS)
    for pattern, tool in _FOUND_IN_CREDITS if credit else _FOUND_IN_TOOLS:
        match = pattern.search(text)
        if match and not _NEGATION.search(text[: match.start()]):
            return tool
    return None
