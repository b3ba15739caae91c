"""Holds a running server's answers against OpenAI's own description of its interface:
`described.py ADDRESS FILE`, where FILE is its OpenAPI description, packed with gzip.

The key is in TIERGATE_KEY.
"""

import gzip
import json
import os
import sys
import time
import urllib.request

import jsonschema
import yaml

ADDRESS, KEY = sys.argv[1], os.environ["TIERGATE_KEY"]
QUESTION = "What is the capital of Austria?"
TIERS = ["tier:openai", "tier:anthropic", "tier:google"]


def read_description(path):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with gzip.open(path) as file:
        return plain(yaml.load(file, loader))


def plain(node):
    """The same as JSON Schema: `nullable` is OpenAPI's own word."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: plain(value) for name, value in node.items()}
    if node.pop("nullable", False):
        return {"anyOf": [node, {"type": "null"}]}
    return node


DESCRIPTION = read_description(sys.argv[2])


def check(schema, value):
    document = {"$ref": f"#/components/schemas/{schema}", "components": DESCRIPTION["components"]}
    errors = list(jsonschema.Draft202012Validator(document).iter_errors(value))
    if errors:
        worst = jsonschema.exceptions.best_match(errors)
        place = "/".join(str(step) for step in worst.absolute_path)
        raise AssertionError(f"{schema}: {place}: {worst.message[:300]}\n{json.dumps(value)[:2000]}")


def ask(method, path, body=None, kind="application/json"):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind}
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(f"{ADDRESS}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def events(path, body):
    text = ask("POST", path, {**body, "stream": True})
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def whole(method, path, body=None, kind="application/json"):
    return json.loads(ask(method, path, body, kind))


def conversations(model):
    said = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    function = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
    tools = {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    for asked in [said, {**said, **tools}]:
        check("CreateChatCompletionResponse", whole("POST", "/v1/chat/completions", asked))
        usage = {"stream_options": {"include_usage": True}}
        for chunk in events("/v1/chat/completions", {**asked, **usage}):
            check("CreateChatCompletionStreamResponse", chunk)
    said = {"model": model, "input": QUESTION}
    tools = {"tools": [{"type": "function", "strict": False, **function}]}
    for asked in [said, {**said, **tools, "tool_choice": "required"}]:
        check("Response", whole("POST", "/v1/responses", asked))
        for event in events("/v1/responses", asked):
            check("ResponseStreamEvent", event)


def kept():
    first = whole("POST", "/v1/responses", {"model": TIERS[0], "input": QUESTION})
    asked = {"model": TIERS[0], "input": QUESTION, "previous_response_id": first["id"]}
    second = whole("POST", "/v1/responses", asked)
    check("Response", whole("GET", f"/v1/responses/{second['id']}"))
    check("ResponseItemList", whole("GET", f"/v1/responses/{second['id']}/input_items"))


def texts():
    asked = {"model": TIERS[0], "prompt": QUESTION}
    check("CreateCompletionResponse", whole("POST", "/v1/completions", asked))
    for chunk in events("/v1/completions", asked):
        # OpenAI's own chunks have null here too, which its description has no word for.
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        check("CreateCompletionResponse", chunk)


def vectors():
    for model in ["tier:openai", "tier:llama"]:
        asked = {"model": model, "input": [QUESTION, "b"]}
        check("CreateEmbeddingResponse", whole("POST", "/v1/embeddings", asked))


def lists_and_errors():
    check("ListModelsResponse", whole("GET", "/v1/models"))
    check("Model", whole("GET", "/v1/models/auto"))
    for path, body in [
        ("/v1/chat/completions", {"model": "gpt-9", "messages": []}),
        ("/v1/responses", {"model": "gpt-9", "input": "x"}),
        ("/v1/batches", {}),
    ]:
        check("ErrorResponse", whole("POST", path, body))


def batches():
    body = {"model": TIERS[0], "messages": [{"role": "user", "content": QUESTION}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    form = (
        '--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        f"{json.dumps(line)}\r\n--x--\r\n"
    )
    file = whole("POST", "/v1/files", form.encode(), "multipart/form-data; boundary=x")
    check("OpenAIFile", file)
    asked = {"input_file_id": file["id"], "endpoint": line["url"], "completion_window": "24h"}
    batch = whole("POST", "/v1/batches", asked)
    check("Batch", batch)
    start = time.monotonic()
    while batch["status"] != "completed":
        assert time.monotonic() - start < 30, batch
        time.sleep(0.05)
        batch = whole("GET", f"/v1/batches/{batch['id']}")
        check("Batch", batch)
    check("ListBatchesResponse", whole("GET", "/v1/batches"))
    check("ListFilesResponse", whole("GET", "/v1/files"))
    deleted = whole("DELETE", f"/v1/files/{file['id']}")
    check("DeleteFileResponse", deleted)


for model in TIERS:
    conversations(model)
for part in [kept, texts, vectors, lists_and_errors, batches]:
    part()
print("described: every answer fits OpenAI's own description")
