import pytest

from chain import REGION, Emulator, Sandbox, Stack
from tracking import Events

SHAPES = ["Direct", "Queue", "EventBridge"]
# These take longest and start first, so that none of them runs alone at the end.
FIRST = ["test_doctor", "test_operations", "test_tracking", "test_chain", "test_permissions", "test_rate", "test_guide"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if item.path.stem.startswith(name)), len(FIRST)))


@pytest.fixture(scope="session")
def emulator():
    emulator = Emulator()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def sandbox():
    """A sandbox of FlexOrch without a rate limit, so that tests are not paced."""
    sandbox = Sandbox("sandbox", "--unlimited")
    # A test that stops it starts it again, on the same port.
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="session")
def stacks(emulator, sandbox):
    """A deployed stack of each shape, with a filled secret."""
    stacks = {}
    for number, shape in enumerate(SHAPES):
        stack = Stack(emulator, shape.lower(), f"documents-{shape.lower()}", 101 + number)
        if shape == "EventBridge":
            existing_bucket(stack)
        # The largest rate, because these tests do not test pacing.
        stack.deploy(Trigger=shape, FlexOrchBaseUrl=sandbox.base_url, PlanRequestsPerMinute="6000")
        stack.fill_secret()
        stacks[shape] = stack
    return stacks


@pytest.fixture(params=SHAPES)
def stack(request, stacks, sandbox):
    sandbox.heal()
    yield stacks[request.param]
    sandbox.heal()


@pytest.fixture(scope="module")
def events(emulator):
    """What the tests of a file find published."""
    return Events(emulator)


def existing_bucket(stack):
    """Creates a bucket outside the stack, with EventBridge notifications on."""
    stack.s3.create_bucket(Bucket=stack.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    stack.s3.put_bucket_notification_configuration(
        Bucket=stack.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
