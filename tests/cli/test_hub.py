"""Models from and to a hub: a real server of the endpoints, real processes, and no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundgen.checkpoint import open_model_folder, resolve_model
from soundgen.errors import CheckpointError, OutputError, SoundgenError, UsageError
from soundgen.pipelines.share_model import pull_model, push_model
from tests.conftest import REPOSITORY, RunSoundgen
from tests.fixtures_hub import READER, WRITER, HubServer, Repository, card_errors
from tests.fixtures_model import make_tiny_model

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("hub") / "tiny").path


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def test_a_model_is_sent_fetched_and_used_with_the_network_off(
    soundgen: RunSoundgen, hub: HubServer, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    for path in model.iterdir():
        shutil.copy(path, tmp_path / "mine")
    for name in ("state.pt", "notes.txt", "evil.pkl"):
        (tmp_path / "mine" / name).write_text("stays here")
    sent = soundgen(
        "models", "push", "mine", "hf:someone/rainy", **hub.environment(tmp_path / "hf", WRITER)
    )
    assert sent.returncode == 0, sent.stderr
    commit = hub.repositories["someone/rainy"].names["main"]
    assert sent.stdout == f"hf:someone/rainy@{commit}\n"
    there = hub.repositories["someone/rainy"].commits[commit]
    assert set(there) == {
        ".gitattributes", "README.md", "codec.safetensors", "config.json", "lm.safetensors",
    }  # fmt: skip
    assert there["lm.safetensors"] == (model / "lm.safetensors").read_bytes()
    assert WRITER not in sent.stderr

    # A fetch of the newest, by whoever asks for a sound; then the same with the network off.
    home = hub.environment(tmp_path / "other")
    arguments = ("generate", "rain", "-d", "0.5", "--seed", "1", "--model", "hf:someone/rainy")
    made = soundgen(*arguments, "-o", "a.wav", **home)
    assert made.returncode == 0, made.stderr
    asked = len(hub.requests)
    for name, environment in {
        "b.wav": {"HF_HUB_OFFLINE": "1"},
        "c.wav": {"HF_ENDPOINT": NOWHERE},
    }.items():
        again = soundgen(*arguments, "-o", name, **{**home, **environment})
        assert again.returncode == 0, again.stderr
        assert (tmp_path / name).read_bytes() == (tmp_path / "a.wav").read_bytes()
    assert len(hub.requests) == asked
    # The file says which commit, so that the command makes it again when the hub has moved on.
    shown = json.loads(soundgen("info", "a.wav", "--json", **home).stdout)
    assert shown["making"]["model"] == f"hf:someone/rainy@{commit}"
    assert f"--model hf:someone/rainy@{commit}" in shown["command"]

    pulled = soundgen("models", "pull", "hf:someone/rainy", "-o", "here", "--json", **home)
    assert pulled.returncode == 0, pulled.stderr
    report = json.loads(pulled.stdout)
    assert (report["model"], report["path"]) == (f"hf:someone/rainy@{commit}", "here")
    assert not any(path.is_symlink() for path in (tmp_path / "here").rglob("*"))
    assert open_model_folder(tmp_path / "here").model_digest == report["model_digest"]
    open_model_folder(tmp_path / "here").verify()


def test_a_revision_holds_when_the_hub_moves_on(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer, model: Path, tmp_path: Path
) -> None:
    first = hub.add("someone/rainy", model)
    other = make_tiny_model(tmp_path / "newer", seed=5)
    hub.repositories["someone/rainy"].names["v1"] = first
    newest = hub.add("someone/rainy", other.path)
    hub.connect(monkeypatch, tmp_path / "hf")
    older = open_model_folder(model).model_digest
    assert resolve_model("hf:someone/rainy").model_digest == other.model_digest
    assert resolve_model("hf:someone/rainy@v1").model_digest == older
    assert resolve_model(f"hf:someone/rainy@{first}").model_digest == older
    # What a commit names cannot change, so the hub is not even asked.
    hub.requests.clear()
    hub.connect(monkeypatch, tmp_path / "hf")
    assert resolve_model(f"hf:someone/rainy@{newest}").model_digest == other.model_digest
    assert hub.requests == []
    report = pull_model("hf:someone/rainy", revision="v1")
    assert report.model == f"hf:someone/rainy@{first}"
    with pytest.raises(CheckpointError, match="another revision than --revision"):
        pull_model("hf:someone/rainy@v2", revision="v1")


@pytest.mark.parametrize(
    ("case", "token", "words", "hint"),
    [
        ("absent", "", "no such model on the hub, or a private one", "needs a token, in HF_TOKEN"),
        ("absent", READER, "no such model on the hub", "the token in HF_TOKEN may not reach it"),
        ("private", "", "no such model on the hub, or a private one", "HF_TOKEN"),
        ("gated", "", "its owner must let you have it", "ask for access"),
        ("tiny@v9", "", "the model has no such revision", ""),
        ("tiny", "hf_wrong", "the hub does not let you read it (401)", "HF_TOKEN"),
        ("other", "", "not the configuration of a soundgen model", "models import hf:someone/"),
        ("damaged", "", "lm does not match its recorded digest", "--force"),
        ("broken", "", "the hub cannot be reached", "check the network"),
        ("unreachable", "", "not in the cache, and the hub cannot be reached", "network"),
        ("offline", "", "not in the cache, and HF_HUB_OFFLINE keeps the hub away", "unset it"),
        ("a/b/c", "", "not a name of the form", ""),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_line(
    case: str, token: str, words: str, hint: str, monkeypatch: pytest.MonkeyPatch, hub: HubServer,
    model: Path, tmp_path: Path,
) -> None:  # fmt: skip
    hub.add("someone/tiny", model)
    hub.add("someone/private", model, private=True)
    hub.add("someone/gated", model, gated=True)
    hub.repositories["someone/other"] = Repository()
    hub.repositories["someone/other"].commit({"config.json": b'{"model_type": "encodec"}'})
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    files["lm.safetensors"] = files["lm.safetensors"][:-1] + b"\x7f"
    hub.repositories["someone/damaged"] = Repository()
    hub.repositories["someone/damaged"].commit(files)
    hub.broken = case == "broken"
    hub.connect(
        monkeypatch, tmp_path / "hf", token, url=NOWHERE if case == "unreachable" else "",
        offline=case == "offline",
    )  # fmt: skip
    with pytest.raises(CheckpointError) as caught:
        pull_model(f"hf:someone/{case}", tmp_path / "out")
    message, said_to_do = caught.value.message, caught.value.hint
    assert message.startswith(f"hf:someone/{case}") or case == "damaged"
    assert words in message and "\n" not in message + said_to_do
    assert hint in said_to_do and bool(hint) == bool(said_to_do)
    assert not token or token not in message + said_to_do
    assert not (tmp_path / "out").exists()


def test_a_token_opens_what_is_private_and_is_taken_from_the_environment_only(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer, model: Path, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    hub.add("someone/private", model, private=True)
    hub.connect(monkeypatch, tmp_path / "hf", READER)
    assert pull_model("hf:someone/private").license == "cc0-1.0"
    # A token that a login left on the disk is not ours to use.
    (tmp_path / "token").write_text(READER)
    hub.connect(monkeypatch, tmp_path / "other")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(CheckpointError, match="no such model on the hub"):
        pull_model("hf:someone/private")


def test_a_card_is_completed_or_made_and_stale_parts_go(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer, model: Path, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    shutil.copytree(model, tmp_path / "mine")
    (tmp_path / "mine" / "README.md").unlink()
    repository = hub.repositories["someone/rainy"] = Repository()
    repository.commit({"matcher.safetensors": b"old", "notes.md": b"mine", "config.json": b"{}"})
    hub.connect(monkeypatch, tmp_path / "hf", WRITER)
    mine = str(tmp_path / "mine")
    with pytest.raises(UsageError, match="nothing says what its weights may be used for"):
        push_model(mine, "hf:someone/rainy")
    push_model(mine, "hf:someone/rainy", license_name="cc0-1.0")
    there = repository.commits[repository.names["main"]]
    assert "matcher.safetensors" not in there and there["notes.md"] == b"mine"
    assert not (tmp_path / "mine" / "README.md").exists()
    card = ModelCard(there["README.md"].decode())
    assert (card.data.license, card.data.library_name) == ("cc0-1.0", "soundgen")
    assert card.data.pipeline_tag == "text-to-audio" and "soundgen" in (card.data.tags or [])
    again = push_model(mine, "hf:someone/rainy", license_name="cc0-1.0")
    assert again.license == "cc0-1.0" and again.model.startswith("hf:someone/rainy@")


@pytest.mark.parametrize(
    ("case", "token", "code", "words"),
    [
        ("tiny", "", 5, "sending a model needs a token"),
        ("tiny", READER, 5, "the hub does not let you write it (403)"),
        ("unreachable", WRITER, 5, "the hub cannot be reached"),
        ("offline", WRITER, 5, "HF_HUB_OFFLINE keeps the hub away"),
        ("missing", WRITER, 4, "missing: no such model"),
        ("damaged", WRITER, 4, "codec does not match its recorded digest"),
        ("bad card", WRITER, 3, "README.md: its metadata cannot be read"),
        ("odd license", WRITER, 3, 'Invalid metadata in README.md. - "license" must be one of'),
        ("laundered", WRITER, 2, "its card says mit, but weights in it are under cc-by-nc-4.0"),
    ],
)
def test_what_cannot_be_sent_is_said_in_one_line(
    case: str, token: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch, hub: HubServer,
    model: Path, tmp_path: Path,
) -> None:  # fmt: skip
    shutil.copytree(model, tmp_path / "tiny")
    card, config = tmp_path / "tiny" / "README.md", tmp_path / "tiny" / "config.json"
    if case == "damaged":
        weights = tmp_path / "tiny" / "codec.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    elif case == "bad card":
        card.write_text("---\nlicense: mit\ntags: [\n---\n# A card\n")
    elif case == "odd license":
        card.write_text("---\nlicense: free as in beer\n---\n# A card\n")
    elif case == "laundered":
        card.write_text("---\nlicense: mit\n---\n# A card\n")
        licenses = {"licenses": {"codec": "cc-by-nc-4.0"}}
        config.write_text(json.dumps({**json.loads(config.read_text()), **licenses}))
    hub.connect(
        monkeypatch, tmp_path / "hf", token, url=NOWHERE if case == "unreachable" else "",
        offline=case == "offline",
    )  # fmt: skip
    with pytest.raises(SoundgenError) as caught:
        push_model(str(tmp_path / (case if case == "missing" else "tiny")), "hf:someone/rainy")
    message = caught.value.message
    assert words in message and "\n" not in message and caught.value.exit_code == code
    assert not token or token not in message + caught.value.hint
    assert "lm.safetensors" not in str(hub.repositories.get("someone/rainy", ""))


def test_what_is_there_is_replaced_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer, model: Path, tmp_path: Path
) -> None:
    hub.add("someone/tiny", model)
    hub.connect(monkeypatch, tmp_path / "hf")
    out = tmp_path / "out"
    pull_model("hf:someone/tiny", out)
    with pytest.raises(OutputError, match="exists already"):
        pull_model("hf:someone/tiny", out)
    # The cache's copy was damaged: asked for again, it comes anew, and so does the folder.
    (cached,) = (tmp_path / "hf").rglob("snapshots/*/lm.safetensors")
    blob = cached.resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(CheckpointError) as caught:
        pull_model("hf:someone/tiny")
    assert "--force" in caught.value.hint
    pull_model("hf:someone/tiny", out, force=True)
    open_model_folder(out).verify()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "out"]
    (tmp_path / "sounds").mkdir()
    with pytest.raises(OutputError, match="is not a model folder"):
        pull_model("hf:someone/tiny", tmp_path / "sounds", force=True)


def test_models_of_transformers_come_in_from_the_hub(
    soundgen: RunSoundgen, hub: HubServer, tmp_path: Path
) -> None:
    from tests.fixtures_transformers import make_encodec

    make_encodec().save_pretrained(tmp_path / "source")
    (tmp_path / "source" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# EnCodec\n")
    (tmp_path / "source" / "pytorch_model.bin").write_text("code that must not run")
    hub.add("facebook/encodec_24khz", tmp_path / "source")
    home = hub.environment(tmp_path / "hf")
    done = soundgen("models", "import", "hf:facebook/encodec_24khz", "codec", "--json", **home)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["source"], report["license"]) == ("facebook/encodec_24khz", "cc-by-nc-4.0")
    assert "base_model: facebook/encodec_24khz" in (tmp_path / "codec" / "README.md").read_text()
    assert not any(path.endswith(".bin") for _, path in hub.requests)


@pytest.mark.needs_model
def test_the_shipped_card_passes_the_hubs_validation() -> None:
    from huggingface_hub import ModelCard

    from soundgen.checkpoint import DEFAULT_MODEL
    from soundgen.model_card import complete_card

    text = (REPOSITORY / "checkpoints" / DEFAULT_MODEL / "README.md").read_text()
    data = ModelCard(text).data
    assert (data.license, data.library_name) == ("cc0-1.0", "soundgen")
    sent = complete_card(text, license_name="cc0-1.0", makes_sounds=True)
    assert card_errors(sent) == []
    assert ModelCard(sent).data.tags == data.tags
    assert sent.partition("# soundgen-small")[2] == text.partition("# soundgen-small")[2]
