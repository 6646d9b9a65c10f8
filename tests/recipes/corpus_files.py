"""A page and a package to make corpora of."""

import io
import tarfile

PAGE = b"""<html><head><title>Not this</title></head><body><h1>A heading</h1>
<p>The harbour was quiet that night. Nobody had
  seen the &ldquo;old&rdquo; <em>fisherman</em> leave.</p>
<pre>code = it.is();</pre><table><tr><td>a</td><td>b</td></tr></table>
<ul><li>We never found out why he was there.</li><li>Short one.</li></ul></body></html>"""


def deb_of(files: dict[str, bytes]) -> bytes:
    """A Debian package by hand: an ar archive of three members, with headers of 16+12+6+6+8+10+2 bytes."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = b"!<arch>\n"
    for name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        ("data.tar.xz", data.getvalue()),
    ):
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        whole += b"\n" * (len(content) % 2)
    return whole
