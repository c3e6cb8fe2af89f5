#!/usr/bin/env python3
"""Writes the man pages of section 3 (mdoc) from the public header's comments.

usage: man3.py HEADER SUMMARIES DIRECTORY

One page a public function; unisono_async(3) for all _async forms, with a link for each; unisono(3) for the whole,
with a link for each type; a link for each struct to the function that takes it.
Fails when a public function has neither a comment nor a line in SUMMARIES."""

import os
import re
import shutil
import sys
import time
from collections import namedtuple
from pathlib import Path

Function = namedtuple("Function", "name result arguments comment section")
Section = namedtuple("Section", "title text")
Header = namedtuple("Header", "intro sections functions structs types")

STATUSES = "INVALID MISMATCH PEER_LOST TIMEOUT MEMORY SYSTEM UNSUPPORTED".split()
BANNER = re.compile(r"-{10,} (.*)")


def fail(message):
    sys.exit(f"man3.py: {message}")


# ------------------------------------------------------------------------------------ the header


def comment_text(comment):
    """The words of a /* comment */, without its frame of stars."""
    lines = comment[2:-2].strip().split("\n")
    return "\n".join(re.sub(r"^ \* ?", "", line).rstrip() for line in lines)


def split_parameters(parameters):
    return [" ".join(p.split()) for p in parameters.split(",")]


def parse_functions(text, sections):
    """Public functions in their order, each with the comment right above it and its section's title."""
    declaration = re.compile(r"(?:(/\*(?:(?!\*/).)*\*/)\n)?UNISONO_API ([^;(]*?)(\w+)\(([^;]*)\);", re.S)
    functions = []
    for match in declaration.finditer(text):
        comment, result, name, parameters = match.groups()
        title = [s.title for position, s in sections if position < match.start()][-1]
        functions.append(Function(name, result.strip(), split_parameters(parameters),
                                  comment_text(comment) if comment else "", title))
    return functions


def parse_sections(text):
    """(position, Section) of every banner; its text stands in the banner or in a comment of its own below."""
    sections = []
    comments = list(re.finditer(r"/\*.*?\*/", text, re.S))
    for comment, following in zip(comments, comments[1:] + [None]):
        words = comment_text(comment.group())
        banner = BANNER.match(words)
        if not banner:
            continue
        body = words[banner.end():].strip()
        alone = following and text[following.end():].startswith("\n\n")
        if not body and alone and not text[comment.end():following.start()].strip():
            body = comment_text(following.group())
        sections.append((comment.start(), Section(banner.group(1), body)))
    return sections


def parse_header(path):
    text = path.read_text()
    sections = parse_sections(text)
    types = text[sections[0][0]:sections[1][0]].split("\n", 1)[1].strip()
    structs = {name: whole for whole, name in
               re.findall(r"((?:/\*(?:(?!\*/).)*\*/\n)?typedef struct \{.*?\} (\w+);)", text, re.S)}
    return Header(comment_text(re.search(r"/\*.*?\*/", text, re.S).group()), [s for _, s in sections],
                  parse_functions(text, sections), structs, types)


def read_summaries(path):
    lines = [line for line in path.read_text().split("\n") if line and not line.startswith("#")]
    return dict(line.split(maxsplit=1) for line in lines)


# ------------------------------------------------------------------------------------------ mdoc


def escape(line):
    line = line.replace("\\", "\\e")
    return "\\&" + line if line[:1] in (".", "'") else line


class Writer:
    """Turns a comment's words into mdoc: cross references, names of statuses, paragraphs, lists."""

    def __init__(self, functions):
        self.functions = {f.name for f in functions}
        self.page = None

    def macro(self, word):
        if word in self.functions:
            if word == self.page:
                return f".Fn {word}"
            return f".Xr {'unisono_async' if word.endswith('_async') else word} 3"
        if word in STATUSES:
            return f".Dv UNISONO_ERROR_{word}"
        if re.fullmatch(r"`\w+`", word):
            return f".Fa {word[1:-1]}"
        return None

    def sentence(self, words):
        lines, plain = [], []
        for token in words.split():
            before, word, after = re.fullmatch(r"([(\[]?)(.*?)((?:\(\))?[)\].,;:]*)", token).groups()
            macro = self.macro(word)
            if not macro:
                plain.append(token)
                continue
            name, arguments = macro.split(" ", 1)
            if plain:
                lines.append(escape(" ".join(plain)))
                plain = []
            lines.append(" ".join([name, *before, arguments, *after.replace("()", "", 1)]))
        if plain:
            lines.append(escape(" ".join(plain)))
        return lines

    def prose(self, words):
        sentences = re.split(r"(?<=[a-z0-9)\]A-Z][.])\s+(?=[A-Z*])", " ".join(words.split()))
        return [line for s in sentences for line in self.sentence(s)]

    def paragraph(self, words):
        head, *items = re.split(r"\n\s+- ", words)
        lines = self.prose(head)
        if items:
            lines.append(".Bl -bullet -compact")
            for item in items:
                lines += [".It", *self.prose(item)]
            lines.append(".El")
        return lines

    def text(self, words):
        lines = []
        for paragraph in re.split(r"\n\s*\n", words.strip()):
            lines += ([".Pp"] if lines else []) + self.paragraph(paragraph)
        return lines


def literal(text):
    return [".Bd -literal", *[escape(line) for line in text.split("\n")], ".Ed"]


def prototype(function):
    lines = [f'.Ft "{function.result}"', f".Fo {function.name}"]
    return lines + [f'.Fa "{a}"' for a in function.arguments] + [".Fc"]


def see_also(names):
    names = sorted(set(names))
    return [".Sh SEE ALSO", *[f".Xr {n} 3" + (" ," if n != names[-1] else "") for n in names]]


def frame(title, date, names, summary):
    last = names[-1]
    return [".\\\" Generated from unisono.h by scripts/man3.py.", f".Dd {date}", f".Dt {title.upper()} 3", ".Os",
            ".Sh NAME", *[f".Nm {n}" + (" ," if n != last else "") for n in names], f".Nd {summary}"]


# ----------------------------------------------------------------------------------------- pages


class Pages:
    def __init__(self, header, summaries, date):
        self.header = header
        self.summaries = summaries
        self.date = date
        self.writer = Writer(header.functions)
        self.asynchronous = [f for f in header.functions if f.name.endswith("_async")]
        self.plain = [f for f in header.functions if f not in self.asynchronous]

    def section_text(self, title):
        text = next(s.text for s in self.header.sections if s.title == title)
        return [f".Ss {title.capitalize()}", *self.writer.text(text)] if text else []

    def structs_of(self, function):
        signature = " ".join(function.arguments)
        return [line for name, whole in self.header.structs.items() if re.search(rf"\b{name}\b", signature)
                for line in literal(whole)]

    def description(self, function, words):
        if function.result != "unisono_status":
            return ["The", f".Fn {function.name}", f"function returns the {self.summaries[function.name]}."]
        return self.writer.text(words) + self.structs_of(function) + self.section_text(function.section)

    def return_values(self, function, errors):
        if function.result != "unisono_status":
            return self.writer.text(function.comment)
        lines = ["On success", f".Fn {function.name}", "returns", ".Dv UNISONO_OK .",
                 "Otherwise it returns another status, and", ".Xr unisono_last_error 3", "has the words to it."]
        return lines + ([".Pp", "Errors:", *self.writer.text(errors)] if errors else [])

    def neighbours(self, function):
        names = [f.name for f in self.plain if f.section == function.section]
        names += re.findall(r"unisono_\w+", function.comment) + ["unisono", "unisono_last_error"]
        if function.name + "_async" in {f.name for f in self.asynchronous}:
            names.append("unisono_async")
        known = {f.name for f in self.plain} | {"unisono", "unisono_async"}
        return [n for n in names if n in known and n != function.name]

    def function(self, function):
        self.writer.page = function.name
        words, _, errors = function.comment.partition("Errors:")
        return [*frame(function.name, self.date, [function.name], self.summaries[function.name]),
                ".Sh SYNOPSIS", ".In unisono.h", *prototype(function),
                ".Sh DESCRIPTION", *self.description(function, words),
                ".Sh RETURN VALUES", *self.return_values(function, errors.strip()),
                *see_also(self.neighbours(function))]

    def async_forms(self):
        self.writer.page = "unisono_async"
        names = [f.name for f in self.asynchronous]
        lines = [*frame("unisono_async", self.date, ["unisono_async", *names], "start an operation and return"),
                 ".Sh SYNOPSIS", ".In unisono.h"]
        for function in self.asynchronous:
            lines += prototype(function)
        lines += [".Sh DESCRIPTION", *self.section_text("asynchronous")[1:], ".Bl -tag -width 4n -compact"]
        for function in self.asynchronous:
            lines += [f".It Fn {function.name}", escape(self.summaries[function.name])]
        lines.append(".El")
        for function in self.asynchronous:
            if function.comment:
                lines += [".Pp", "In", f".Fn {function.name} ,", *self.writer.text(function.comment)]
        return lines + [
            ".Sh RETURN VALUES", "A start returns", ".Dv UNISONO_OK",
            "or what was wrong with its arguments; the operation's own status is that of", ".Xr unisono_wait 3 .",
            *see_also(["unisono", "unisono_test", "unisono_wait"] + [n.removesuffix("_async") for n in names])]

    def overview(self):
        self.writer.page = "unisono"
        intro = [p for p in re.split(r"\n\s*\n", self.header.intro) if "SPDX" not in p]
        title, intro = intro[0].removeprefix("unisono: ").rstrip("."), "\n\n".join(intro[1:])
        lines = [*frame("unisono", self.date, ["unisono"], title), ".Sh SYNOPSIS", ".In unisono.h", ".Pp",
                 "cc program.c $(pkg-config --cflags --libs unisono)", ".Sh DESCRIPTION", *self.writer.text(intro)]
        for section in self.header.sections:
            members = [f for f in self.plain if f.section == section.title]
            if not members:
                continue
            lines += [f".Ss {section.title.capitalize()}", ".Bl -tag -width Ds -compact"]
            lines += [line for f in members for line in (f".It Xr {f.name} 3", escape(self.summaries[f.name]))]
            if section.title == "asynchronous":
                lines += [".It Xr unisono_async 3", "start an operation and return"]
            lines.append(".El")
        lines += [".Sh DATA TYPES", *literal(self.header.types)]
        return lines + [".Sh SEE ALSO", ".Xr unisono 1"]

    def types(self):
        """{type: the page that shows it}: of all data types, else of the first function that takes it."""
        shown = {name: "unisono" for name in re.findall(r"^(?:typedef struct \w+|\}) (unisono_\w+);", self.header.types,
                                                        re.M)}
        for name in self.header.structs.keys() - shown.keys():
            shown |= {name: f.name for f in reversed(self.plain) if re.search(rf"\b{name}\b", " ".join(f.arguments))}
        return shown

    def all(self):
        pages = {"unisono": self.overview(), "unisono_async": self.async_forms()}
        pages.update((f.name, self.function(f)) for f in self.plain)
        return pages


def check(header, summaries):
    for f in header.functions:
        asynchronous = f.name.endswith("_async")
        if not asynchronous and not f.comment:
            fail(f"{f.name} has no comment in the header")
        if f.name not in summaries:
            fail(f"{f.name} has no line in man/summaries")
        if asynchronous and f.name.removesuffix("_async") not in summaries:
            fail(f"{f.name} has no blocking form")
    for name in summaries.keys() - {f.name for f in header.functions}:
        fail(f"man/summaries has {name}, the header has not")


def main():
    if len(sys.argv) != 4:
        fail("usage: man3.py HEADER SUMMARIES DIRECTORY")
    source, summaries, directory = Path(sys.argv[1]), read_summaries(Path(sys.argv[2])), Path(sys.argv[3])
    header = parse_header(source)
    check(header, summaries)
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", source.stat().st_mtime))
    day = time.gmtime(seconds)
    date = time.strftime("%B ", day) + f"{day.tm_mday}, {day.tm_year}"
    pages = Pages(header, summaries, date)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, lines in pages.all().items():
        (directory / f"{name}.3").write_text("\n".join(lines) + "\n")
    for function in pages.asynchronous:
        (directory / f"{function.name}.3").symlink_to("unisono_async.3")
    for name, page in pages.types().items():
        (directory / f"{name}.3").symlink_to(f"{page}.3")


if __name__ == "__main__":
    main()
