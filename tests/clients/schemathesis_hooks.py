"""Lets Schemathesis meet what there is: without it, every identifier that it makes up is unknown.

SWITCHBACK_IDENTIFIERS is JSON: for each path with an identifier, some that exist. Two of three requests of the fuzzing
phase name one of them; the others keep what was made up.
"""

import json
import os

import schemathesis

IDENTIFIERS = json.loads(os.environ["SWITCHBACK_IDENTIFIERS"])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    known = IDENTIFIERS.get(context.operation.path, [])
    made_up = path_parameters.get("id") if path_parameters else None
    if known and isinstance(made_up, str):
        # By the text itself, so that the same seed asks the same.
        choice = sum(made_up.encode("utf-8", "surrogatepass"))
        if choice % 3:
            path_parameters["id"] = known[choice % len(known)]
    return path_parameters
