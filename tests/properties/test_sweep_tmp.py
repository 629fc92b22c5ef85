import os
from hypothesis import given, settings, HealthCheck, Phase
from tests.properties.test_workflows import *
@settings(max_examples=int(os.environ.get("N","30")), derandomize=False, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(cases(most=4))
def test_sweep(case): checked(case)
