"""The compose files say what they must, and Docker Compose reads them where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from millrace import cli
from millrace.settings import OTHERS, Settings, load_settings

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
GPU = ROOT / "docker-compose.gpu.yml"
OURS = {"produce", "create", "activations", "aggregates", "dashboard", "model"}


@pytest.fixture
def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


def compose_is_there():
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not compose_is_there(), reason="docker compose is not installed")
@pytest.mark.parametrize("files", [[COMPOSE], [COMPOSE, GPU]], ids=["plain", "gpu"])
def test_docker_compose_accepts_the_files(files):
    named = [argument for file in files for argument in ("-f", str(file))]
    done = subprocess.run(
        ["docker", "compose", *named, "config", "--quiet"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_all_services_are_there(services):
    assert set(services) == OURS | {"kafka"}


def test_workers_can_be_scaled(services):
    for name in ("activations", "aggregates"):
        assert not {"container_name", "ports", "hostname"} & set(services[name])


def test_ports_are_open_to_this_machine_alone(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_nothing_can_be_changed_in_a_container_but_its_volumes(services):
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"
        assert all(place.split(":")[0] in ("/tmp", "/home/millrace") for place in service["tmpfs"])
        assert next(v.split(":")[-1] for v in service["volumes"] if "examples" in v) == "ro"
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "cap_add", "pid", "ipc", "network_mode"} & set(service)


def test_the_image_runs_as_a_numbered_user_who_is_not_root():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last = [line for line in lines if line.startswith("USER ")][-1]
    assert last == "USER 10001:10001"
    assert any("useradd --uid 10001 --gid 10001" in line for line in lines)


def test_everything_waits_for_a_healthy_broker(services):
    for name in OURS:
        assert services[name]["depends_on"]["kafka"] == {"condition": "service_healthy"}


def test_the_corpus_comes_first_then_the_run_then_the_rest(services):
    done = {"condition": "service_completed_successfully"}
    assert set(services["produce"]["depends_on"]) == {"kafka"}
    assert services["create"]["depends_on"]["produce"] == done
    for name in OURS - {"produce", "create"}:
        assert services[name]["depends_on"]["create"] == done


def test_nothing_of_a_run_that_has_failed_for_good_is_started_without_end(services):
    """A broker and pages may be started again whenever they end: no run makes them fail."""
    for name in OURS - {"dashboard"}:
        assert re.fullmatch(r"on-failure:[1-9]", services[name]["restart"]), name


def test_services_run_verbs_that_exist(services):
    verbs = {name: services[name]["command"] for name in OURS}
    assert verbs["create"] == ["runs", "create"]
    for command in verbs.values():
        assert command[0] in cli._VERBS


def test_every_variable_of_ours_means_something(services):
    for name in OURS:
        told = {k: v for k, v in services[name]["environment"].items() if k.startswith("MILLRACE")}
        for variable in told:
            keys = variable.removeprefix("MILLRACE_").lower().split("__")
            section = Settings.model_fields.get(keys[0])
            if section is None or len(keys) == 1:
                assert keys[0] in {*OTHERS, "broker", "store", "model_service"}, variable
            else:
                assert section.annotation is not None
                known = TypeAdapter(section.annotation).json_schema()["properties"]
                assert keys[1].removesuffix("_file") in known, variable
        given = {k: v for k, v in told.items() if v is not None and ":+" not in v}
        defaults = {k: v.split(":-")[-1].rstrip("}") for k, v in given.items()}
        defaults |= {k: None for k in ("MILLRACE_SETTINGS",) if k in defaults}
        load_settings(None, {k: v for k, v in defaults.items() if v is not None})


def test_the_password_of_a_broker_is_a_secret_and_no_variable(services):
    for name in OURS:
        assert services[name]["secrets"] == ["kafka-password"]
        told = services[name]["environment"]
        assert told["MILLRACE_KAFKA__PASSWORD_FILE"].endswith(":+/run/secrets/kafka-password}")
        assert "MILLRACE_KAFKA__PASSWORD" not in told


def test_the_settings_of_the_example_are_where_the_services_look(services):
    (mounted,) = [v for v in services["create"]["volumes"] if v.endswith(":/data:ro")]
    assert ":-./examples}" in mounted
    named = services["create"]["environment"]["MILLRACE_SETTINGS"]
    assert named == "${MILLRACE_SETTINGS:-/data/python-prose/run.toml}"
    made = load_settings(ROOT / "examples/python-prose/run.toml", {"MILLRACE_STORE": "/snapshots"})
    assert made.store == "/snapshots"
    assert made.corpus.text == ("python:",)


def test_services_that_stay_have_health_checks(services):
    assert {name for name, service in services.items() if "healthcheck" in service} == {
        "kafka",
        "activations",
        "aggregates",
        "dashboard",
        "model",
    }


def test_workers_are_healthy_while_they_live(services):
    for name in ("activations", "aggregates"):
        (said,) = [part for part in services[name]["healthcheck"]["test"] if "urlopen" in part]
        port = services[name]["environment"]["MILLRACE_METRICS_PORT"]
        assert f"http://127.0.0.1:{port}/live" in said


def test_every_variable_has_a_default():
    text = COMPOSE.read_text() + GPU.read_text()
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    variables = re.findall(r"\$\{[^}]*\}", code)
    assert len(variables) > 10
    assert all(":-" in variable or ":+" in variable for variable in variables)


def test_volumes_are_declared_and_used(services):
    declared = set(yaml.safe_load(COMPOSE.read_text())["volumes"])
    mounted = {
        volume.split(":")[0] for service in services.values() for volume in service["volumes"]
    }
    assert declared <= mounted


def test_kafka_is_the_version_that_the_native_broker_runs(services):
    pom = (ROOT / "millrace" / "local_kafka" / "pom.xml").read_text()
    version = re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)<", pom)
    assert version is not None
    assert f"apache/kafka:{version[1]}" in services["kafka"]["image"]


def test_gpu_file_adds_a_device_to_the_activation_side_only():
    services = yaml.safe_load(GPU.read_text())["services"]
    assert {name for name, service in services.items() if "deploy" in service} == {"activations"}
    assert services["produce"]["environment"] == {"MILLRACE_MODEL__DEVICE": "cuda"}  # large batches
    (device,) = services["activations"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert services["activations"]["environment"]["MILLRACE_MODEL__DEVICE"] == "cuda"


def test_image_copies_nothing_that_the_build_context_leaves_out():
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split("\n") if line[:1] == "!"
    }
    sources = [
        source
        for line in (ROOT / "Dockerfile").read_text().split("\n")
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert sources
    for source in sources:
        assert any(re.fullmatch(name.replace("*", ".*"), source) for name in allowed), source
