"""The registry of checks: what each code means and what to do; the documentation lists it."""

from dataclasses import dataclass

FAMILIES = {
    "VA1": "Shortcuts: what alone tells the classes apart",
    "VA2": "Duplicates and leakage",
    "VA3": "Labels and composition",
}

RULE = (
    "A shortcut is an issue if the lower end of the 95 % interval of its AUROC is above 0.6, or if the AUROC "
    "is 0.7 or more and the lower end above 0.55; it is a tip if the lower end is above 0.5 or the AUROC 0.6 "
    "or more; otherwise it passed. AUROC below 0.5 out of fold counts as no signal. The interval does not "
    "contain the chance in what the classifiers learned: in fair sets of some hundred pictures about one "
    "check in ten gives a tip."
)
SAME_CHAIN = "Put both classes through the same random chain (format, size, quality), drawn alike for both"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        code: "VA" and three digits; never given to another check.
        title: what the check looks at, a few words.
        meaning: what it means if something is found.
        remedy: what to do then.
    """

    code: str
    title: str
    meaning: str
    remedy: str


_ALL = (
    Check(
        "VA101",
        "File format",
        "A detector can learn PNG against JPEG instead of generated against real.",
        f"{SAME_CHAIN}; save both in the same formats.",
    ),
    Check(
        "VA102",
        "Width and height",
        "The size of a picture tells its class: generators have sizes of their own.",
        f"{SAME_CHAIN}; crop or resize both to the same distribution of sizes.",
    ),
    Check(
        "VA103",
        "Aspect ratio",
        "The shape of a picture tells its class.",
        "Crop both classes to the same distribution of shapes.",
    ),
    Check(
        "VA104",
        "Square, or sides that are multiples of 64",
        "Generators prefer squares and multiples of 64; cameras do not.",
        "Crop both classes to the same sizes, with the corner drawn at random.",
    ),
    Check(
        "VA105",
        "JPEG quality, tables and subsampling",
        "Among JPEG files alone, how they were compressed tells the class. Differences of format are VA101.",
        f"{SAME_CHAIN}; draw quality and subsampling of the last encoding from one distribution.",
    ),
    Check(
        "VA106",
        "Presence of metadata",
        "Whether a file carries EXIF, XMP, IPTC, an ICC profile, C2PA or text tells its class.",
        "Remove metadata from both classes before pixels are judged; judge provenance on its own.",
    ),
    Check(
        "VA107",
        "File size",
        "Bytes, or bytes per pixel, tell the class. Besides encoding, smooth content makes small files.",
        f"{SAME_CHAIN}; if the encoding is the same already, look at what the pictures show.",
    ),
    Check(
        "VA108",
        "Mean colour",
        "Mean and contrast of the three channels tell the class: a detector of dark or colourful pictures.",
        "Choose pictures of both classes that show the same things in the same light.",
    ),
    Check(
        "VA109",
        "8x8 thumbnail",
        "A thumbnail without any detail tells the class: what the pictures show and how they are framed.",
        "Match the content: real pictures of what the generated ones show, or reconstructions of the real.",
    ),
    Check(
        "VA110",
        "All facts of the file together",
        "Format, size, shape, JPEG settings, metadata and length together, without a look at the pixels.",
        f"{SAME_CHAIN}. A detector has to beat this figure by far before it can be said to see anything.",
    ),
    Check(
        "VA201",
        "Same picture in both classes",
        "One and the same picture is labelled real and generated: one of the labels is wrong.",
        "Look at the pictures named and remove the row with the wrong label.",
    ),
    Check(
        "VA202",
        "Same picture in several splits",
        "The test contains training pictures: it measures memory.",
        "Keep each picture in one split.",
    ),
    Check(
        "VA203",
        "Same picture more than once in a class",
        "Repeated pictures count twice and make intervals too narrow.",
        "Keep one row of each picture.",
    ),
    Check(
        "VA204",
        "Near-duplicates in both classes",
        "Almost the same picture is labelled real and generated, without being declared a pair.",
        "If one was made from the other, give both rows the same `picture`; otherwise correct the label.",
    ),
    Check(
        "VA205",
        "Near-duplicates in several splits",
        "Resized or recompressed copies of training pictures are in the test.",
        "Keep copies of a picture in one split; give their rows the same `picture`.",
    ),
    Check(
        "VA206",
        "Group in several splits",
        "A generator or a source is in training and test: the test says nothing about new ones.",
        "Split by group.",
    ),
    Check(
        "VA207",
        "Source picture in several splits",
        "Pictures made from one original are in training and test.",
        "Split by `picture`.",
    ),
    Check(
        "VA208",
        "Source in several splits",
        "Different groups of one source (repository, data set, prompt list) are in training and test; they "
        "may share scenes, prompts or processing.",
        "Split by `source` where you can; otherwise say so beside the figures.",
    ),
    Check(
        "VA209",
        "Pairs of real and generated pictures",
        "Real and generated rows share a source picture, as reconstructions do. This is no fault: content "
        "cannot tell such classes apart.",
        "Keep both halves of a pair in one split.",
    ),
    Check(
        "VA301",
        "Common sizes",
        "No size, or no range of sizes, occurs in both classes: no protocol can compare like with like.",
        "Add pictures of the other class's sizes, or crop both classes to the same sizes.",
    ),
    Check(
        "VA302",
        "Balance of the classes",
        "One class is much larger or missing, in the whole set or a split: accuracy and precision mislead.",
        "Balance the classes, or report figures that do not depend on it (AUROC, rates per class).",
    ),
    Check(
        "VA303",
        "Number of generators",
        "All generated pictures come from one generator: nothing follows for others.",
        "Add generators, or name the generator beside every figure.",
    ),
    Check(
        "VA304",
        "Number of real sources",
        "All real pictures come from one source: its camera, size and encoding stand for 'real'.",
        "Add sources, or name the source beside every figure.",
    ),
    Check(
        "VA305",
        "Tiny groups",
        "Groups with fewer than 10 pictures: their figures are guesses.",
        "Add pictures, or report such groups only together.",
    ),
    Check(
        "VA306",
        "Unreadable pictures",
        "Pictures that cannot be decoded; they are left out of all checks that need the picture.",
        "Repair or remove the files named.",
    ),
    Check(
        "VA307",
        "Licences",
        "No licence is stated: the pictures may be looked at, but not be passed on.",
        "Ask the source, and fill the column `license`.",
    ),
    Check(
        "VA308",
        "Group in both classes",
        "A group name stands for real and for generated pictures: a wrong label, or a name used twice.",
        "Correct the labels, or give the two groups different names.",
    ),
    Check(
        "VA309",
        "Groups stated",
        "Rows without a group cannot be kept together: intervals and splits take them as independent.",
        "Fill the column `group`: the generator, or the source of the real pictures.",
    ),
    Check(
        "VA310",
        "Files as the manifest says",
        "The sha256 of a file is not the one in the manifest: the set is not the one that was described.",
        "Fetch the files again, or write a new manifest.",
    ),
)

CHECKS = {check.code: check for check in _ALL}


def codes_markdown() -> str:
    """The list of all codes as Markdown, for the documentation."""
    lines = [
        "# Codes of the bias audit",
        "",
        "Generated from `vestige.evaluation.audit.codes`; do not edit.",
        "",
    ]
    for family, heading in FAMILIES.items():
        lines += [f"## {family}xx {heading}", ""]
        if family == "VA1":
            lines += [RULE, ""]
        for check in _ALL:
            if check.code.startswith(family):
                lines += [
                    f"### {check.code} {check.title}",
                    "",
                    check.meaning,
                    "",
                    f"Remedy: {check.remedy}",
                    "",
                ]
    return "\n".join(lines)
