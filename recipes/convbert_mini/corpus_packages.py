"""Where the free text of the pre-training corpus comes from: packages of Debian 12, all of its section main.

A package's bytes are fixed by its version and SHA-256, so that the same corpus comes out at any time; older
versions stay on Debian's snapshot archive. Licences are those of the text, from each copyright file.
Left out on purpose: what is in non-free, texts that quote others at length (fortunes, the quotations of
games), and whatever says of its text's licence nothing clear.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """One package. reader: its key in ``corpus_readers.READERS``. files: what of it is read, as globs of
    paths below /. without: globs of what is not."""

    name: str
    version: str
    sha256: str
    licence: str
    reader: str
    files: tuple[str, ...]
    without: tuple[str, ...] = ()


_SHARE = "usr/share"
_DOC = f"{_SHARE}/doc"
_GAMES = f"{_SHARE}/games"
_DICT = f"{_SHARE}/dictd"
_INDICES = (
    "*index*.html",
    "*changelog*",
    "*hangelog*.html",
    "*/copyright*",
    "*license*",
    "*/bk*.html",
    "*changelog_history.html",
    "*maintainers.html",
    "*parameters.html",
)


def _markup(name: str, version: str, sha256: str, licence: str, *files: str) -> Package:
    return Package(name, version, sha256, licence, "markup", files, _INDICES)


def _wesnoth(campaign: str, sha256: str) -> Package:
    files = (f"{_GAMES}/wesnoth/1.16/data/campaigns/*.cfg",)
    return Package(f"wesnoth-1.16-{campaign}", "1:1.16.9-1", sha256, "GPL-2+", "wml", files)


PACKAGES: tuple[Package, ...] = (
    Package(
        "wordnet-base", "1:3.0-37", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "WordNet", "wordnet", (f"{_SHARE}/wordnet/data.*",),
    ),
    Package(
        "dict-gcide", "0.48.5+nmu2", "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
        "GPL-2+", "dictionary", (f"{_DICT}/gcide.dict.dz",),
    ),
    Package(
        "dict-foldoc", "20230119-1", "745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3",
        "GFDL-1.1+ without invariant sections", "dictionary", (f"{_DICT}/foldoc.dict.dz",),
    ),
    Package(
        "dict-jargon", "4.4.7-3.1", "405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1",
        "public domain", "dictionary", (f"{_DICT}/jargon.dict.dz",),
    ),
    Package(
        "dict-devil", "1.0-13.1", "6a535684def2a1f70cd42da16d12d43f0e9dc3e54e4a329178eebab3170e3154",
        "public domain", "alphabet", (f"{_DICT}/devil.dict.dz",),
    ),
    Package(
        "r-cran-janeaustenr", "1.0.0-1", "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
        "MIT (the novels: public domain)", "novels", ("usr/lib/R/site-library/janeaustenr/data/Rdata.rdb",),
    ),
    Package(
        "sword-text-web", "426.0-1", "930b23670b352f0829a306501de4bebb5e654a2df02cde2cbe86b802177868e1",
        "public domain", "sword", (f"{_SHARE}/sword/modules/texts/*.bzz",),
    ),
    _markup(
        "anarchism", "15.3-3", "cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948",
        "GPL-2", f"{_DOC}/anarchism/html/*.html",
    ),
    Package(
        "cataclysm-dda-data", "0.F-3-9", "cd0c097169fe364fdb6bcdab77663d24920a063387ce2fbf1b5d3be01c141105",
        "CC-BY-SA-3.0",
        "json",
        (f"{_GAMES}/cataclysm-dda/json/*.json",
        f"{_GAMES}/cataclysm-dda/mods/*.json",),
    ),
    Package(
        "endless-sky-data", "0.9.8-1.2", "e45835e05a11e84bb1a890a0ded390246a53b8318f21a25925aa70fa54f80c13",
        "GPL-3+", "endless_sky", (f"{_GAMES}/endless-sky/data/*.txt",),
    ),
    Package(
        "freeciv-data", "3.0.6-1+deb12u1", "278bed022b87408ca9923aa727bef3d6c97875c811723e93ff95dded1b9b76b2",
        "GPL-2+", "gettext", (f"{_GAMES}/freeciv/helpdata.txt", f"{_GAMES}/freeciv/civ*/*.ruleset",),
    ),
    Package(
        "freeorion-data", "0.4.10.2-1", "911a15d562f9c2a454eda03d4ed9e9ddc01be850d415652f257fe14660896017",
        "CC-BY-SA-3.0", "stringtable", (f"{_GAMES}/freeorion/default/stringtables/en.txt",),
    ),
    Package(
        "crawl-common", "2:0.28.0-1.1", "50c8f0091ba88538dde6585e5eddba02677bfe94d3ee4dc90a5bd3a788650f59",
        "GPL-2+", "plain", (f"{_SHARE}/crawl/dat/descript/[!q]*.txt",),
    ),
    _wesnoth("did", "774619f5aaeb7eb4c848e1cc1758795a8c58e96bd270cceecc9d847dbcc769b3"),
    _wesnoth("dm", "1997ad4d91e8de36415db2a3445904288f588a76d75111222d2aace409ace5c6"),
    _wesnoth("dw", "47982e08b2a5d5fd79f400a5453f32c6d7dd56f2ccc10412a9e47dec8a9b3ca4"),
    _wesnoth("ei", "687abe111ee662b7324336ddadc209758f68d2eeb1ccbf630238f27a0e3c6404"),
    _wesnoth("httt", "05b16a3f8f8204278794aae14d8e6a7c95d2b2faef7337c4997c827a146d1bbd"),
    _wesnoth("l", "5383c79046df6121929bc36a8ec3f970ab4cf9c1239ed9b31868201c27f4266d"),
    _wesnoth("low", "2f304551b97b7fb76a2adb5ad8ffcac3e78476bc8ade17532c90714065c9bf9f"),
    _wesnoth("nr", "13edcf1bdd23708f531ba81c67100c5800363a119f10155c7f9e146fe7dced34"),
    _wesnoth("sof", "b6f1ddffdbd1a977f3965dae944e4fb11c147627471f1cfc71c92d1e69efb555"),
    _wesnoth("sota", "fa44304ff53d259f3c5fe13c03cb8166e55e9c307807d1a5663048c396645ba6"),
    _wesnoth("sotbe", "877a2f4a7fd8df54fd3b4561ffbd5fa95d0390d7c7372f3cb66367c8007918cb"),
    _wesnoth("thot", "79d9ec6e43300ea9f41295ccf3fb451e8eeaefc17007123f65d77eb05cb88695"),
    _wesnoth("trow", "b5009e964ac7157a46d50de911e4f56f5bb4389d60b82a513b5f382671d180d7"),
    _wesnoth("tsg", "38b5f564253b8e0d9c093b2b7c58aabfef24f688968d9cbaf42abfc1e76d8288"),
    _wesnoth("ttb", "d0d45693665305191488553ade8dc1d0aa26ab17d4bffae3bf6969db4a766329"),
    _wesnoth("utbs", "81e05717bebbfb6348c0bed2cd6ce2560c4fd9205ed419c2e7bc039b4a70e228"),
    _markup(
        "gnome-user-docs", "43.0-2", "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f",
        "CC-BY-SA-3.0", f"{_SHARE}/help/C/*.page",
    ),
    _markup(
        "libreoffice-help-en-us",
        "4:7.4.7-1+deb12u14",
        "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
        "MPL-2.0", f"{_SHARE}/libreoffice/help/en-US/text/*.html",
    ),
    _markup(
        "gimp-help-en", "2.10.34-2", "a2deec76763aaf2fcdd197bac0736cdcb0770ba993d48d233329e1c92b0bfe36",
        "GFDL-1.2+ without invariant sections", f"{_SHARE}/gimp/2.0/help/en/*.html",
    ),
    _markup(
        "gnumeric-doc", "1.12.55-1", "99ac7a4171ce3440b9c3d220f21181f93245bc91a607a5b3943b804b5e87eccb",
        "GFDL-1.1+ without invariant sections", f"{_SHARE}/help/C/gnumeric/*.xml",
    ),
    _markup(
        "gnucash-docs", "4.13-1", "09979baf0ff8ddc1f9c39320c2c38ff606d6f4656e04742ff2dc51f2d562996f",
        "GFDL-1.1+ without invariant sections", f"{_SHARE}/help/C/gnucash-*.xml",
    ),
    _markup(
        "kstars-data", "5:3.6.2-2", "f48e4a101ddab20f1cf35879c821f9fa2ca1b459c5ea78eef99555fe22cf35aa",
        "GFDL-1.2+ without invariant sections", f"{_DOC}/HTML/en/kstars/*.docbook",
    ),
    _markup(
        "gnubg-data", "1.07.001-1", "e7ea611b5f0f66da23a83f07dd1f0aa65e9834289801e1527ad833ea6f83cb0e",
        "GPL-3+", f"{_DOC}/gnubg/gnubg.html",
    ),
    _markup(
        "lilypond-doc-html", "2.24.1-2", "be9fb743e58bd5ad4710146fe05e7c5f447fe4559e42c6acef1916d53e4bec60",
        "GFDL-1.3+ without invariant sections",
        f"{_DOC}/lilypond/html/Documentation/[elmnuwc]*-big-page.html",
    ),
    _markup(
        "povray-doc", "1:3.7.0.10-2", "5c378f364287d6920ac81ec55a54f181c30e65e22b199af7a027fdb2946aef8f",
        "AGPL-3.0+", f"{_DOC}/povray/html/*.html",
    ),
    _markup(
        "kicad-doc-en", "6.0.11+dfsg-1", "20dbe9acb2e6f38d49bd742d4b71bee2dc3e7dbd8c54a7a45ad05a742e5ae834",
        "GPL-2+ or CC-BY-SA-3.0", f"{_DOC}/kicad/help/en/*.html",
    ),
    _markup(
        "grass-doc", "8.2.1-1", "0f6da53d1f7d51b019dfe64bf45718b64022989afc94bb6c833f495aa2f61ff7",
        "GPL-2+", f"{_DOC}/grass-doc/html/*.html",
    ),
    _markup(
        "debian-handbook", "11.20220922", "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
        "GPL-2+ or CC-BY-SA-3.0", f"{_DOC}/debian-handbook/html/en-US/*.html",
    ),
    _markup(
        "debian-reference-en", "2.100", "9f31d3a17df505de09689ca255512ea58c1fc47c59bb1b0c7bf1c23362e9743f",
        "GPL-2+", f"{_SHARE}/debian-reference/*.en.html",
    ),
    _markup(
        "debian-faq", "11.1", "427426e0cfa6888622fc1d72631071cb4b5a1f86ccde722e7820bcef284de5d0",
        "permission to copy and change, under the same terms", f"{_DOC}/debian/FAQ/*.en.html",
    ),
    _markup(
        "debian-history", "2.28", "ae364cdfd075bf6a08ca8f5105b44db7093e3b201c95d3b70a863b8849c6a082",
        "GPL-2+", f"{_DOC}/debian-history/docs/*.en.html",
    ),
    _markup(
        "debian-policy", "4.6.2.0", "ef9d01b625c3b87c3a845c2cd1b66f1a16e9240b2b9e5bee53472a00e8457a39",
        "GPL-2+", f"{_DOC}/debian-policy/policy-1.html", f"{_DOC}/debian-policy/policy.html/*.html",
    ),
    _markup(
        "developers-reference", "12.18", "0dba82f6fa16e373f2a84ad07e7971aa9264ad2e7d2ae46b37edbc9c5fd57e2e",
        "GPL-2", f"{_SHARE}/developers-reference/*.html",
    ),
    _markup(
        "harden-doc", "3.19+nmu1", "77ffacb6f8af4afbdf39f3de6040a710ae6ffcc40e2fab5b5d312dfb11d28d94",
        "GPL-2", f"{_DOC}/harden-doc/html/en-US/*.html",
    ),
    _markup(
        "debian-edu-doc-en",
        "2.12.23~deb12u1",
        "0a985aebd07dd69ea1d22c767c410fbca429e7c9fa378024bcaf4fedeb09506a",
        "GPL-2+", f"{_DOC}/debian-edu-doc-en/*.html",
    ),
    _markup(
        "installation-guide-amd64",
        "20230508+deb12u1",
        "812c43e1dc906daf671e3efe953dc023205c238e5bd5a3021ce4ca142793573a",
        "GPL-2", f"{_DOC}/installation-guide-amd64/en/*.html",
    ),
    _markup(
        "maint-guide", "1.2.53", "762c8a400a36668d2eb814a3ba356b06488fd889dfce478eb11d5cfb189a47b5",
        "GPL-2+", f"{_DOC}/maint-guide/html/*.en.html",
    ),
    _markup(
        "aptitude-doc-en", "0.8.13-5", "ba4864ca26464bbe06acd94dc4a79402eea5d7b2d3da943d6ecce3c752bc9e84",
        "GPL-2+", f"{_DOC}/aptitude/html/en/*.html",
    ),
    _markup(
        "git-doc", "1:2.39.5-0+deb12u3", "3c89668a11053a6bafade3de1f611f4613db31e082af63f43d8c5b69ad8795ec",
        "GPL-2", f"{_DOC}/git-doc/*.html",
    ),
    _markup(
        "python3.11-doc",
        "3.11.2-6+deb12u9",
        "5b3594189d6ef9a6963ce0347fd307a1cc67620ad697e144db366070e2e146be",
        "PSF", f"{_DOC}/python3.11/html/[fhltw]*/*.html",
    ),
    _markup(
        "postgresql-doc-15",
        "15.20-0+deb12u1",
        "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
        "PostgreSQL", f"{_DOC}/postgresql-doc-15/html/*.html",
    ),
    _markup(
        "sqlite3-doc", "3.40.1-2+deb12u2", "466e30d7066e2641fa13e56bc662a2ad521b8cc9c17dde9c9dac3d4f105e32f2",
        "public domain", f"{_DOC}/sqlite3/*.html",
    ),
    _markup(
        "apache2-doc", "2.4.71-1~deb12u1", "a7b3d1131c1c63dbf9999b28e75f9a133d30f70492b419936bd51759ac77a01f",
        "Apache-2.0", f"{_DOC}/apache2-doc/manual/en/*.html",
    ),
    _markup(
        "bind9-doc",
        "1:9.18.49-1~deb12u3",
        "7a3282f365576e58378b242ea7e8bd65ce227e94dd4abe8acbb5874873e7265e",
        "MPL-2.0", f"{_DOC}/bind9-doc/arm/*.html",
    ),
    _markup(
        "exim4-doc-html", "4.96-1", "f0613395fd73c3c278b619c8162c5a183e7874cbfdebe3614b4b3339d5d8a120",
        "GPL-2+", f"{_DOC}/exim4-doc-html/spec_html/*.html",
    ),
    _markup(
        "postfix-doc", "3.7.11-0+deb12u1", "6b07bcc68991703acf747dc2500355bdd02aef0a048419b939752c39faf47d8d",
        "EPL-2.0 or IPL-1.0", f"{_DOC}/postfix/html/*.html",
    ),
    _markup(
        "rust-doc", "1.63.0+dfsg1-2", "96ef96fe6df87d939ca713bd7df3d15c2b778ccb892eca025c4ee504146f697b",
        "MIT or Apache-2.0", f"{_DOC}/rust-doc/html/book/*.html",
    ),
    _markup(
        "python-sklearn-doc",
        "1.2.1+dfsg-1",
        "4e244556326064e87e7563e3e544c2288d44b5719db2d7b3a85c9a84ae93488d",
        "BSD-3-Clause",
        f"{_DOC}/python-sklearn-doc/html/modules/[!g]*.html",
        f"{_DOC}/python-sklearn-doc/html/*_examples/*.html",
    ),
    _markup(
        "octave-doc", "7.3.0-2", "b27897cc7e3d688daa5cb8f8d1ea47077f3fbd205ce32e22522200ff0c1eadd5",
        "GPL-3+", f"{_DOC}/octave/octave.html/*.html",
    ),
    _markup(
        "linux-doc-6.1", "6.1.192-2", "d1d1b5a602f0d439ecc39e713e044bf2df30d839fb4bf8a7b859ba3273c47993",
        "GPL-2", f"{_DOC}/linux-doc-6.1/html/process/*.html", f"{_DOC}/linux-doc-6.1/html/admin-guide/*.html",
    ),
)  # fmt: skip
