"""XML as a tree: nothing is declared, nothing included, nothing fetched."""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from scenes.geometry.reading import limits
from scenes.kit import errors

_BYTES = 2**24


class Element(ElementTree.Element):
    """An element that knows the line it began on."""

    line = 0


def read(data: bytes, path: Path) -> Element:
    """The root of an XML file's bytes, which are UTF-8.

    Raises:
        errors.CaveError: in one line.
    """
    if len(data) > _BYTES:
        raise limits.fail(path, "", f"it has {len(data)} bytes, at most {_BYTES} of XML are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise limits.fail(path, f"byte {error.start}", "not UTF-8 text, as XML is read") from None
    # Entities are declared in there, and a few lines of them stand for gigabytes.
    at = text.find("<!DOCTYPE")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise limits.fail(
            path, f"line {line}", "declarations (<!DOCTYPE>) are not accepted: write out what they stand for"
        )
    parser = expat.ParserCreate()
    parser.buffer_text = True
    counts = [0, 0]

    def made(tag: str, attributes: dict[str, str]) -> Element:
        element = Element(tag, attributes)
        element.line = parser.CurrentLineNumber
        return element

    builder = ElementTree.TreeBuilder(element_factory=made)

    def start(tag: str, attributes: dict[str, str]) -> None:
        counts[0] += 1
        counts[1] += 1
        if counts[0] > limits.ELEMENTS or counts[1] > limits.DEPTH:
            what = f"more than {limits.ELEMENTS} elements, or {limits.DEPTH} within each other"
            raise limits.fail(path, f"line {parser.CurrentLineNumber}", what)
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        counts[1] -= 1
        builder.end(tag)

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    try:
        parser.Parse(text, True)
        return builder.close()
    except errors.CaveError:
        raise
    except expat.ExpatError as error:
        said = expat.errors.messages.get(error.code, "not XML")
        raise limits.fail(path, f"line {error.lineno}, column {error.offset + 1}", f"not XML: {said}") from None
    except (ValueError, AssertionError) as error:
        raise limits.fail(path, "", f"not XML: {str(error)[:80]}") from None
