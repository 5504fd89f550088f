"""What jsonargparse's messages come to in one line.

jsonargparse tries one type after the other and lists, indented, what each has said. Here such a message is read as the
tree that it is, the complaint that concerns the user's value is chosen, and the key, what was expected and what was
given are put into one line.
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

from xinc_pl.suggestions import did_you_mean

_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "NoneType": "null",
    "dict": "a mapping",
    **dict.fromkeys(("list", "tuple", "Sequence", "Iterable", "set"), "a list"),
}
"""Types, in the words of somebody who writes YAML."""

_UNION = "Does not validate against any of the Union subtypes"
_MAX_GIVEN = 60
_MAX_NAMES = 12


@dataclass(frozen=True)
class Complaint:
    """What is wrong with one value.

    Attributes:
        key: Where, from the outermost key to the innermost.
        owner: Import path of the class whose argument it is; empty for the program itself.
        text: What is wrong, where no type was expected.
        expected: What would have been right, as jsonargparse calls it.
        given: What was given instead, if known.
        weight: How much it says: complaints of types that the user cannot have meant weigh little.
    """

    key: tuple[str, ...] = ()
    owner: str = ""
    text: str = ""
    expected: tuple[str, ...] = ()
    given: str | None = None
    weight: int = 0


def one_line(message: str, known_keys: Sequence[str] = (), base_of: Callable[[str], type | None] | None = None) -> str:
    """The heart of an error message, in one line.

    Args:
        message: jsonargparse's, or any other.
        known_keys: Keys of the program, for those that are misspelt.
        base_of: The class that the value of one of the program's keys has to be derived from, for misspelt names.
    """
    complaint = read_complaint(message)
    return _Writer(tuple(known_keys), base_of or (lambda _: None)).line(complaint)


def is_parsers(message: str) -> bool:
    """Whether a message is one of jsonargparse's lists of complaints."""
    return message.lstrip().startswith(("Parser key", "Problem with given class_path", _UNION))


def read_complaint(message: str) -> Complaint:
    """Read a message of jsonargparse's. Whatever is not understood becomes the text, in one line."""
    lines = [line for line in message.splitlines() if line.strip()]
    if not lines:
        return Complaint(text="no reason was given", weight=_PLAIN)
    first, rest = lines[0].strip(), textwrap.dedent("\n".join(lines[1:]))
    if match := re.match(r'Parser key "([^"]+)"( element \d+)?:(.*)', first):
        inner = read_complaint("\n".join([match[3].strip(), rest]) if match[3].strip() else rest)
        repeated = inner.key[:1] == (match[1],)
        return inner if repeated else replace(inner, key=(*match[1].split("."), *inner.key))
    if first.startswith("- Expected a path but"):
        return read_complaint(rest.removeprefix("- "))
    if first == _UNION:
        return _heaviest(lines)
    if match := re.match(r"Problem with given class_path '([^']*)':(.*)", first):
        inner = read_complaint("\n".join([match[2].strip(), rest]))
        if inner.weight == _PLAIN and not inner.key and not inner.owner:
            # Not the parser's: the class itself cannot be had, or refuses.
            return replace(inner, text=f"{match[1]!r}: {inner.text}", weight=_SPECIFIC)
        return replace(inner, owner=inner.owner or match[1], weight=max(inner.weight, _SPECIFIC))
    return _leaf(message, first)


_SIMPLE, _NAME, _PLAIN, _SPECIFIC = 0, 1, 2, 3


def _heaviest(lines: Sequence[str]) -> Complaint:
    """What the alternative has said that the user has most likely meant."""
    start = next((at for at, line in enumerate(lines) if line.strip() == "Errors:"), None)
    end = next(
        (at for at, line in reversed(list(enumerate(lines))) if line.lstrip().startswith("Given value type:")), 0
    )
    if start is None or end <= start:
        return Complaint(text=" ".join(" ".join(lines).split()), weight=_PLAIN)
    given = " ".join(line.strip() for line in lines[end + 1 :]).removeprefix("Given value:").strip()
    if match := re.fullmatch(r"NestedArg\(key='[^']*', val=(.*)\)", given):
        given = match[1].strip("'\"")
    block = textwrap.dedent("\n".join(lines[start + 1 : end]))
    said = [read_complaint(each) for each in re.split(r"^- ", block, flags=re.MULTILINE)[1:]]
    best = max(said, key=lambda each: each.weight)
    if best.weight == _SIMPLE and not best.key:
        return replace(
            best, expected=tuple(dict.fromkeys(option for each in said for option in each.expected)), given=given
        )
    return best if best.given is not None or best.key else replace(best, given=given)


def _leaf(message: str, first: str) -> Complaint:
    whole = " ".join(message.split())
    what, got, given = whole.partition(". Got value:")
    value = given.split(" Subclass types expect one of:")[0].strip() if got else None
    if match := re.match(r"Expected a (?!path|dot )(.*)", what):
        return Complaint(expected=(match[1],), given=value)
    if first.startswith("Not a valid subclass of"):
        base = first.removeprefix("Not a valid subclass of").split(".")[0].strip()
        return Complaint(expected=(f"the name of a {base}",), given=value)
    if match := re.match(r"Expected a dot import path string: (.*)", whole):
        return Complaint(text="class", given=match[1], weight=_NAME)
    if match := re.match(r"Import path (?:(\S+) )?does not correspond to a subclass of (\S+)", whole):
        return Complaint(expected=(f"the name of a {match[2]}",), given=match[1], weight=_NAME)
    if match := re.search(r"(?:Option|accept option) '([^']+)'(?: is not accepted)?$", whole):
        return Complaint(text="key", given=match[1], weight=_SPECIFIC)
    if match := re.match(r"the following arguments are required: (.*)", whole):
        return Complaint(text="missing", given=match[1], weight=_SPECIFIC)
    if match := re.match(r"unrecognized arguments: (.*)", whole):
        return Complaint(text="argument", given=match[1], weight=_SPECIFIC)
    return Complaint(text=whole, weight=_PLAIN)


@dataclass(frozen=True)
class _Writer:
    """Puts complaints into words.

    Args:
        known_keys: Keys of the program.
        base_of: What a key's value has to be derived from.
    """

    known_keys: tuple[str, ...]
    base_of: Callable[[str], type | None]

    def line(self, complaint: Complaint) -> str:
        """The one line."""
        key = ".".join(part for part in complaint.key if part not in ("init_args", "class_path"))
        start = f"{key}: " if key else ""
        if complaint.text == "key":
            return self._unknown_key(key, complaint)
        if complaint.text == "missing":
            return self._missing(key, complaint)
        if complaint.text == "argument":
            return self._unknown_argument(str(complaint.given))
        if complaint.text == "class":
            return start + self._unknown_class(complaint)
        if complaint.text:
            return start + complaint.text + _within_its_module(complaint.text)
        return f"{start}expected {_alternatives(complaint.expected)}{_got(complaint)}"

    def _unknown_key(self, key: str, complaint: Complaint) -> str:
        name = str(complaint.given)
        if not complaint.owner:
            return f"there is no option {name!r}{did_you_mean(name, self.known_keys)}"
        first = name.split(".")[0]
        own = [
            *arguments_of(complaint.owner),
            *(("class_path", "init_args") if first.startswith(("init", "cl")) else ()),
        ]
        owner, place = complaint.owner.rpartition(".")[2], f"{key}: " if key else ""
        listed = f"; it has {', '.join(own[:_MAX_NAMES])}" if own else "; it has none"
        return f"{place}{owner} has no option {first!r}{did_you_mean(first, own) or listed}"

    def _unknown_argument(self, words: str) -> str:
        option = words.split()[0].split("=")[0]
        if not option.startswith("--"):
            return f"there is no use for {words!r}; options begin with --, as in --config nerv"
        return f"there is no option {option}{did_you_mean(option, [f'--{key}' for key in self.known_keys])}"

    def _missing(self, key: str, complaint: Complaint) -> str:
        names = [name.strip() for name in str(complaint.given).split(",")]
        if not complaint.owner:
            names = [re.sub(r"^(fit|validate|test|predict)\.", "", name) for name in names]
            missing = f"{_alternatives(names, 'and')} {'is' if len(names) == 1 else 'are'} missing"
            return f"{missing}; name a configuration that has {'it' if len(names) == 1 else 'them'}, as --config nerv"
        place = f"{key}: " if key else ""
        return f"{place}{complaint.owner.rpartition('.')[2]} needs {_alternatives(names, 'and')}"

    def _unknown_class(self, complaint: Complaint) -> str:
        name = str(complaint.given)
        base = _argument_base(complaint.owner, complaint.key[-1]) if complaint.owner and complaint.key else None
        base = base or self.base_of(".".join(complaint.key))
        hint = did_you_mean(name, subclass_names(base)) if base is not None else ""
        ours = sorted(subclass_names(base, "xinc_pl")) if base is not None else []
        if not hint and 0 < len(ours) <= _MAX_NAMES:
            hint = f"; there are {', '.join(ours)}"
        own = f"one of your own needs its import path, package.module.{name}"
        return f"there is no class {name!r} to choose{hint}{' ' if hint.endswith('?') else '; '}{own}"


def arguments_of(class_path: str) -> list[str]:
    """What a class takes, those of its bases included."""
    from lightning.pytorch.cli import LightningArgumentParser

    try:
        return list(LightningArgumentParser().add_class_arguments(_import(class_path), fail_untyped=False))
    except Exception:  # a hint is not worth a failure
        return []


def subclass_names(base: type, package: str = "") -> set[str]:
    """Names of the classes derived from a class that can be made; of those in a package, if one is given."""
    usable = not inspect.isabstract(base) and not base.__name__.startswith("_") and base.__module__.startswith(package)
    found = {base.__name__} if usable else set()
    below: list[type] = type.__subclasses__(base)
    return found.union(*(subclass_names(each, package) for each in below))


def _argument_base(class_path: str, argument: str) -> type | None:
    """The class that an argument of a class has to be derived from."""
    try:
        hint = get_type_hints(_import(class_path).__init__)[argument]
    except Exception:  # a hint is not worth a failure
        return None
    options: tuple[Any, ...] = get_args(hint) if get_origin(hint) is not None else (hint,)
    return next((each for each in options if inspect.isclass(each) and each is not type(None)), None)


def _import(class_path: str) -> Any:  # noqa: ANN401 - a class, of whatever kind
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _within_its_module(text: str) -> str:
    """What a misspelt name in a module may have been."""
    match = re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text)
    if match is None:
        return ""
    return did_you_mean(match[2], [name for name in dir(importlib.import_module(match[1])) if not name.startswith("_")])


def _got(complaint: Complaint) -> str:
    given = complaint.given
    if given is None:
        return ""
    given = "null" if given == "None" else given
    shown = given if len(given) <= _MAX_GIVEN else f"{given[:_MAX_GIVEN]}..."
    choices = [each for option in complaint.expected for each in _choices(option)]
    return f", got {shown!r}" + (did_you_mean(given, choices) if choices else "")


def _choices(option: str) -> list[str]:
    match = re.fullmatch(r"typing\.Literal\[(.*)\]", option)
    return [each.strip().strip("'\"") for each in match[1].split(",")] if match else []


def _alternatives(options: Sequence[str], conjunction: str = "or") -> str:
    choices = dict.fromkeys(choice for option in options for choice in _choices(option))
    others = [_in_words(option) for option in options if not _choices(option)]
    words = list(dict.fromkeys([*([f"one of {', '.join(choices)}"] if choices else []), *others]))
    words.sort(key=lambda word: word == "null")
    if not words:
        return "another value"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def _in_words(option: str) -> str:
    if match := re.fullmatch(r"tuple with (\d+) elements", option):
        return f"a list of {match[1]}"
    if match := re.fullmatch(r"<class '(?:[\w.]+\.)?(\w+)'>", option):
        return _WORDS.get(match[1], match[1])
    return option
