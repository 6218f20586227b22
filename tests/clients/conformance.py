"""Holds every answer against the service model that the client itself ships.

A client's parser drops what it does not know and forgives what is missing, so its users never see an
answer that strays from the model. `check` sits before the parser (botocore's event `before-parse`) and
looks at the bytes: no member that the model does not have, none missing that it requires, the right
types, enumerations and lengths, times that are times, the content type of the protocol, a request id,
and for a refusal one of the operation's own exceptions with its HTTP status, or a common error.

It works for boto3, for the AWS CLI (which has a botocore of its own) and for whatever stands on either.
What was answered is written to the file that SWITCHBACK_CONFORMANCE_LOG names, one JSON object a line,
because the CLI is a process of its own.
"""

import base64
import binascii
import io
import json
import os
import xml.etree.ElementTree

# Errors that every operation may have and no model names, by AWS's pages of common errors for these
# services and, for those of the protocols, by AWS's own servers.
COMMON = {
    "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "IncompleteSignatureException",
    "InternalFailure", "InternalServerError", "InvalidAction", "InvalidClientTokenId", "InvalidParameterCombination",
    "InvalidParameterValue", "InvalidSignatureException", "MalformedQueryString", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException", "MissingParameter", "NotAuthorized", "OptInRequired", "RequestExpired",
    "SerializationException", "ServiceUnavailable", "SignatureDoesNotMatch", "Throttling", "ThrottlingException",
    "UnknownOperationException", "UnrecognizedClientException", "ValidationError", "ValidationException",
}

# S3 has no typed exceptions for most of its errors; its own list of error codes is on one page.
S3_COMMON = {
    "AccessDenied", "AuthorizationHeaderMalformed", "BadDigest", "BucketNotEmpty", "InternalError",
    "InvalidAccessKeyId", "InvalidArgument", "InvalidBucketName", "InvalidRequest", "MalformedXML", "MethodNotAllowed",
    "NoSuchBucket", "NoSuchKey", "NoSuchUpload", "NotImplemented", "InvalidPart", "InvalidPartOrder", "EntityTooSmall",
    "IllegalLocationConstraintException", "InvalidRange", "PreconditionFailed", "RequestTimeTooSkewed",
    "SignatureDoesNotMatch", "SlowDown", "404", "400", "403", "301", "304", "412", "416",
}

# Moments outside of these years are milliseconds taken for seconds, or no moments at all.
EARLIEST_S, LATEST_S = 946_684_800, 4_102_444_800


class NotAsModelled(AssertionError):
    """An answer that the service's model does not allow."""


def check(operation_model, response_dict, **_):
    """Raises NotAsModelled if an answer is not one of this operation's."""
    service = operation_model.service_model
    if service.service_name == "dynamodb":
        # An emulator by others, which its authors compare with AWS; and DynamoDB itself strays from its model
        # (no decrease today is 0, where the model wants at least 1).
        return
    name = operation_model.name
    status = response_dict["status_code"]
    where = f"{service.service_name} {name}"
    try:
        protocol = service.resolved_protocol
        if status >= 300:
            outcome = Refusal(operation_model, response_dict, protocol).check()
        else:
            answer_of(operation_model, response_dict, protocol)
            outcome = None
    except NotAsModelled as wrong:
        wrong = f"{where} ({status}): {wrong}"
        log({"service": service.service_name, "operation": name, "wrong": wrong})
        raise NotAsModelled(wrong) from None
    log({"service": service.service_name, "operation": name, "protocol": protocol, "error": outcome})


def log(entry):
    path = os.environ.get("SWITCHBACK_CONFORMANCE_LOG")
    if path:
        # One write of one line: several processes append.
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def require(held, text):
    if not held:
        raise NotAsModelled(text)


def header(response_dict, name):
    return response_dict["headers"].get(name) or response_dict["headers"].get(name.lower())


def answer_of(operation_model, response_dict, protocol):
    """An answer that is no refusal."""
    shape = operation_model.output_shape
    body = response_dict["body"]
    if protocol == "rest-xml":
        require(header(response_dict, "x-amz-request-id"), "there is no x-amz-request-id")
        if shape is None or operation_model.has_streaming_output or not body:
            return
        Xml(tree_of(body)).members(shape, tree_of(body), shape.name)
        return
    require(header(response_dict, "x-amzn-RequestId"), "there is no x-amzn-RequestId")
    content_type = (header(response_dict, "Content-Type") or "").split(";")[0]
    metadata = operation_model.service_model.metadata
    if protocol == "json":
        expected = f"application/x-amz-json-{metadata.get('jsonVersion', '1.0')}"
        require(content_type == expected, f"the content type is {content_type}, not {expected}")
        if shape is None:
            require(body in (b"", b"{}"), f"an answer without output has the body {body[:80]!r}")
            return
        Tree("json").value(shape, json_of(body), shape.name)
    elif protocol == "smithy-rpc-v2-cbor":
        require(content_type == "application/cbor", f"the content type is {content_type}")
        require(header(response_dict, "smithy-protocol") == "rpc-v2-cbor", "there is no smithy-protocol")
        if shape is not None:
            Tree("cbor").value(shape, cbor_of(operation_model, body), shape.name)
    elif protocol == "query":
        require(content_type == "text/xml", f"the content type is {content_type}")
        root = tree_of(body)
        require(local(root) == f"{operation_model.name}Response", f"the root is {local(root)}")
        request_id = [each for each in root.iter() if local(each) == "RequestId"]
        require(len(request_id) == 1 and request_id[0].text, "there is no one RequestId")
        parts = {local(each): each for each in root}
        wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
        allowed = {"ResponseMetadata", wrapper or f"{operation_model.name}Result"}
        require(set(parts) <= allowed, f"there is {sorted(set(parts) - allowed)} beside the result")
        if shape is not None:
            require(wrapper is None or wrapper in parts, f"there is no {wrapper}")
            Xml(root).members(shape, parts.get(wrapper, root), shape.name)
    else:
        raise NotAsModelled(f"nobody here reads {protocol}")


def json_of(body):
    try:
        return json.loads(body)
    except ValueError as error:
        raise NotAsModelled(f"the body is not JSON: {error}: {body[:80]!r}") from None


def cbor_of(operation_model, body):
    # The parser of whichever botocore this model is of.
    package = type(operation_model).__module__.rsplit(".", 1)[0]
    parsers = __import__(f"{package}.parsers", fromlist=["parsers"])
    stream = io.BufferedReader(io.BytesIO(body))
    return parsers.RpcV2CBORParser().parse_data_item(stream)


def tree_of(body):
    try:
        return xml.etree.ElementTree.fromstring(body)
    except xml.etree.ElementTree.ParseError as error:
        raise NotAsModelled(f"the body is not XML: {error}: {body[:80]!r}") from None


def local(element):
    return element.tag.rsplit("}", 1)[-1]


def bounded(shape, size, path):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    require(least is None or size >= least, f"{path}: {size} is less than {least}")
    require(most is None or size <= most, f"{path}: {size} is more than {most}")


def text_of(shape, value, path):
    if shape.enum if hasattr(shape, "enum") else False:
        require(value in shape.enum, f"{path}: {value!r} is none of {shape.enum}")
    bounded(shape, len(value), path)


class Tree:
    """A value of JSON or CBOR against its shape."""

    def __init__(self, form):
        self.form = form

    def value(self, shape, value, path):
        require(value is not None, f"{path} is null")
        getattr(self, shape.type_name, self.unknown)(shape, value, path)

    def unknown(self, shape, _value, path):
        raise NotAsModelled(f"{path}: nobody here knows the type {shape.type_name}")

    def structure(self, shape, value, path):
        require(isinstance(value, dict), f"{path} is {value!r}, not a structure")
        if getattr(shape, "is_document_type", False):
            return
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        for given, inner in value.items():
            require(given in names, f"{path} has {given}, which {shape.name} does not")
            self.value(shape.members[names[given]], inner, f"{path}.{given}")
        for needed in shape.required_members:
            given = shape.members[needed].serialization.get("name", needed)
            require(given in value, f"{path} has no {given}, which {shape.name} must have")
        if getattr(shape, "is_tagged_union", False):
            require(len(value) == 1, f"{path} is a union and has {sorted(value)}")

    def list(self, shape, value, path):
        require(isinstance(value, list), f"{path} is {value!r}, not a list")
        bounded(shape, len(value), path)
        for index, inner in enumerate(value):
            self.value(shape.member, inner, f"{path}[{index}]")

    def map(self, shape, value, path):
        require(isinstance(value, dict), f"{path} is {value!r}, not a map")
        for key, inner in value.items():
            self.value(shape.key, key, f"{path} key")
            self.value(shape.value, inner, f"{path}[{key!r}]")

    def string(self, shape, value, path):
        require(isinstance(value, str), f"{path} is {value!r}, not text")
        text_of(shape, value, path)

    def character(self, shape, value, path):
        self.string(shape, value, path)

    def integer(self, shape, value, path):
        require(isinstance(value, int) and not isinstance(value, bool), f"{path} is {value!r}, no whole number")
        bounded(shape, value, path)

    long = integer

    def double(self, shape, value, path):
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        require(numeric or (self.form == "json" and value in ("NaN", "Infinity", "-Infinity")),
                f"{path} is {value!r}, no number")
        if self.form == "cbor":
            require(isinstance(value, float) or value == int(value), f"{path} is {value!r}")

    float = double

    def boolean(self, _shape, value, path):
        require(isinstance(value, bool), f"{path} is {value!r}, neither true nor false")

    def timestamp(self, shape, value, path):
        if self.form == "cbor":
            require(hasattr(value, "timestamp"), f"{path} is {value!r}, no tagged moment")
            value = value.timestamp()
        elif shape.serialization.get("timestampFormat") == "iso8601":
            require(isinstance(value, str), f"{path} is {value!r}, no moment in ISO 8601")
            return
        require(isinstance(value, (int, float)) and not isinstance(value, bool), f"{path} is {value!r}, no moment")
        require(EARLIEST_S <= value <= LATEST_S, f"{path} is {value!r}, which are no seconds since 1970")

    def blob(self, _shape, value, path):
        if self.form == "cbor":
            require(isinstance(value, bytes), f"{path} is {value!r}, no bytes")
            return
        try:
            base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise NotAsModelled(f"{path} is {value!r}, which is not base64") from None


class Xml:
    """An element against its shape."""

    def __init__(self, root):
        self.root = root

    def members(self, shape, element, path):
        allowed = {}
        for name, member in shape.members.items():
            if member.serialization.get("location"):
                continue
            given = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                given = member.member.serialization.get("name", given)
            allowed[given] = (name, member)
        seen = {}
        for child in element:
            seen.setdefault(local(child), []).append(child)
        for given, children in seen.items():
            require(given in allowed, f"{path} has {given}, which {shape.name} does not")
            _, member = allowed[given]
            if member.type_name == "list" and member.serialization.get("flattened"):
                for child in children:
                    self.value(member.member, child, f"{path}.{given}")
                continue
            require(len(children) == 1, f"{path} has {given} {len(children)} times")
            self.value(member, children[0], f"{path}.{given}")
        for needed in shape.required_members:
            given = shape.members[needed].serialization.get("name", needed)
            optional = shape.members[needed].serialization.get("location")
            require(optional or given in seen, f"{path} has no {given}, which {shape.name} must have")

    def value(self, shape, element, path):
        kind = shape.type_name
        if kind == "structure":
            self.members(shape, element, path)
        elif kind == "list":
            wanted = shape.member.serialization.get("name", "member")
            bounded(shape, len(element), path)
            for index, child in enumerate(element):
                require(local(child) == wanted, f"{path} has {local(child)} instead of {wanted}")
                self.value(shape.member, child, f"{path}[{index}]")
        elif kind == "map":
            for entry in element:
                require(local(entry) == "entry", f"{path} has {local(entry)} instead of entry")
                parts = {local(child): child for child in entry}
                key = shape.key.serialization.get("name", "key")
                inner = shape.value.serialization.get("name", "value")
                require(set(parts) == {key, inner}, f"{path} has an entry of {sorted(parts)}")
                self.value(shape.key, parts[key], f"{path} key")
                self.value(shape.value, parts[inner], f"{path} value")
        else:
            require(len(element) == 0, f"{path} has elements inside")
            self.scalar(kind, shape, element.text or "", path)

    def scalar(self, kind, shape, text, path):
        if kind in ("string", "character"):
            text_of(shape, text, path)
        elif kind in ("integer", "long"):
            require(text.lstrip("-").isdigit(), f"{path} is {text!r}, no whole number")
            bounded(shape, int(text), path)
        elif kind in ("double", "float"):
            try:
                float(text)
            except ValueError:
                raise NotAsModelled(f"{path} is {text!r}, no number") from None
        elif kind == "boolean":
            require(text in ("true", "false"), f"{path} is {text!r}, neither true nor false")
        elif kind == "timestamp":
            require(len(text) >= 20 and text[10] == "T" and text.endswith("Z"), f"{path} is {text!r}, no moment")
        elif kind != "blob":
            raise NotAsModelled(f"{path}: nobody here knows the type {kind}")


class Refusal:
    """A refusal: one of the operation's exceptions, or a common error."""

    def __init__(self, operation_model, response_dict, protocol):
        self.model = operation_model
        self.response = response_dict
        self.protocol = protocol

    def check(self):
        """The code of the refusal."""
        code, members = self.read()
        status = self.response["status_code"]
        for shape in self.model.error_shapes:
            error = shape.metadata.get("error", {})
            names = {shape.name, error.get("code", shape.name)}
            if code in names:
                wanted = error.get("httpStatusCode")
                require(wanted is None or wanted == status, f"{code} has status {status}, not {wanted}")
                if members is not None:
                    self.members(shape, members)
                return code
        common = S3_COMMON if self.protocol == "rest-xml" else COMMON
        own = sorted(shape.name for shape in self.model.error_shapes)
        require(code in common, f"{code} is neither common nor one of {own}")
        return code

    def read(self):
        """The code, and the members if the protocol lets one see them."""
        body = self.response["body"]
        if self.protocol in ("query", "rest-xml"):
            if not body and self.protocol == "rest-xml":
                return str(self.response["status_code"]), None
            root = tree_of(body)
            codes = [each.text for each in root.iter() if local(each) == "Code"]
            require(len(codes) == 1, "there is no one Code")
            if self.protocol == "query":
                require(local(root) == "ErrorResponse", f"the root is {local(root)}")
                kinds = [each.text for each in root.iter() if local(each) == "Type"]
                require(kinds in (["Sender"], ["Receiver"]), f"the fault is {kinds}")
            return codes[0], None
        members = json_of(body) if self.protocol == "json" else cbor_of(self.model, body)
        require(isinstance(members, dict), f"the refusal is {members!r}")
        code = members.get("__type") or header(self.response, "x-amzn-errortype")
        require(isinstance(code, str), "there is no __type")
        code = code.rsplit("#", 1)[-1].split(":")[0]
        if self.model.service_model.metadata.get("awsQueryCompatible") is not None:
            queried = header(self.response, "x-amzn-query-error")
            require(queried is None or queried.count(";") == 1, f"x-amzn-query-error is {queried}")
        return code, {key: value for key, value in members.items() if key != "__type"}

    def members(self, shape, members):
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        tree = Tree("json" if self.protocol == "json" else "cbor")
        for given, value in members.items():
            # A message is sent for every exception, under either name, and only some models say so.
            if given in ("message", "Message"):
                require(isinstance(value, str), f"the message is {value!r}")
                continue
            require(given in names, f"the refusal has {given}, which {shape.name} does not")
            tree.value(names[given], value, given)
