"""The official clients of Python against a running server: `check.py ADDRESS`.

Each client talks to a tier of each protocol. The key is in TIERGATE_KEY.
"""

import json
import os
import sys
import time
import urllib.request

import anthropic
import openai
from google import genai
from google.genai import errors, types

ADDRESS, KEY = sys.argv[1], os.environ["TIERGATE_KEY"]
CLIENTS = []
TIERS = ["tier:openai", "tier:anthropic", "tier:google"]
# Those that make vectors, and how many numbers these have.
EMBEDDERS = {"tier:openai": 8, "tier:google": 8, "tier:llama": 192}
QUESTION, ANSWER = "What is the capital of Austria?", "Vienna, on the Danube: Grüße 🦀 漢字."
AS_JSON, LONG = "Which city is that? Answer as JSON.", "Count."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def refused(expected, ask):
    try:
        ask()
    except expected as error:
        return error
    raise AssertionError(f"{expected} did not come")


def until_idle():
    """Waits until nothing is in work: whoever hung up is not worked for."""
    headers = {"Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(f"{ADDRESS}/metrics", headers=headers)
    start = time.monotonic()
    while True:
        with urllib.request.urlopen(request) as page:
            if "\ntiergate_requests_in_flight 0\n" in page.read().decode():
                return
        assert time.monotonic() - start < 5, "a cancelled request is still in work"


def openais(key=KEY):
    return openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key=key, max_retries=0)


def chat(model):
    client = openais()
    said = [{"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model=model, messages=said)
    assert whole.choices[0].message.content == ANSWER, whole
    assert whole.usage.prompt_tokens > 0 and whole.usage.completion_tokens > 0
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=model, messages=said, **options))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == ANSWER and chunks[-1].usage == whole.usage, chunks[-1]
    function = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    called = client.chat.completions.create(
        model=model, messages=said, tools=tools, tool_choice="required"
    ).choices[0]
    assert called.finish_reason == "tool_calls", called
    call = called.message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"text": QUESTION}
    result = {"role": "tool", "tool_call_id": call.id, "content": "It is Vienna."}
    again = [*said, called.message, result, *said]
    told = client.chat.completions.create(model=model, messages=again, tools=tools)
    assert told.choices[0].message.content == ANSWER, told
    form = {"name": "place", "schema": SCHEMA, "strict": True}
    asked = [{"role": "user", "content": AS_JSON}]
    shaped = client.chat.completions.create(
        model=model,
        messages=asked,
        response_format={"type": "json_schema", "json_schema": form},
    )
    assert json.loads(shaped.choices[0].message.content) == {"city": "Vienna"}
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": LONG}], stream=True
    )
    next(iter(stream))
    stream.close()
    until_idle()


def responses(model):
    client = openais()
    whole = client.responses.create(model=model, input=QUESTION)
    assert whole.output_text == ANSWER and whole.status == "completed", whole
    events = list(client.responses.create(model=model, input=QUESTION, stream=True))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == ANSWER and events[-1].response.output_text == ANSWER, events[-1]
    tool = {"type": "function", "name": "look_up", "parameters": SCHEMA, "strict": True}
    called = client.responses.create(
        model=model, input=QUESTION, tools=[tool], tool_choice="required"
    )
    assert [item.type for item in called.output] == ["function_call"], called


def kept_responses(model):
    client = openais()
    first = client.responses.create(model=model, input=QUESTION)
    assert first.store is True, first
    second = client.responses.create(
        model=model, input=QUESTION, previous_response_id=first.id, stream=True
    )
    second = list(second)[-1].response
    assert second.previous_response_id == first.id, second
    again = client.responses.retrieve(second.id)
    assert again.output_text == second.output_text == ANSWER, again
    items = list(client.responses.input_items.list(second.id, order="asc"))
    assert [item.role for item in items if item.type == "message"] == ["user", "assistant", "user"]
    client.responses.delete(first.id)
    refused(openai.NotFoundError, lambda: client.responses.retrieve(first.id))
    gone = lambda: client.responses.create(
        model=model, input="x", previous_response_id=first.id
    )
    assert refused(openai.BadRequestError, gone).code == "previous_response_not_found"


def completions():
    client = openais()
    asked = {"model": "tier:openai", "prompt": QUESTION, "suffix": "."}
    whole = client.completions.create(**asked)
    assert whole.choices[0].text == ANSWER and whole.usage.completion_tokens > 0, whole
    chunks = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == ANSWER
    for model in ["tier:anthropic", "tier:google"]:
        ask = lambda: client.completions.create(model=model, prompt=QUESTION)
        assert refused(openai.BadRequestError, ask).param == "prompt"


def decisions():
    client = openais()
    if not hasattr(client, "decisions"):
        print("skipped: this version of the client has no decisions")
        return
    levels = [{"label": "low"}, {"label": "high"}]
    decision = client.decisions.create(
        model="tier:llama",
        input=[{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}],
        questions=[
            {"type": "predicate", "name": "city", "instructions": "It is about a city."},
            {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": True}]},
            {"type": "score", "instructions": "How hard is it?", "levels": levels},
        ],
    )
    city, choice, score = decision.answers
    assert (city.type, city.name) == ("predicate", "city") and 0 < city.probability < 1
    assert choice.choice in ("a", True) and choice.name is None
    assert 0 <= score.score <= 1 and [it.value for it in score.probabilities] == [0, 1]
    assert decision.usage.total_tokens > 0 and decision.model == "tier:llama"
    refused(openai.NotFoundError, lambda: client.decisions.create(
        model="gpt-6-luna", input="x", questions=[{"type": "predicate", "instructions": "x"}]))


def until_ended(ask, ended):
    start = time.monotonic()
    while not ended(batch := ask()):
        assert time.monotonic() - start < 30, batch
        time.sleep(0.05)
    return batch


def batches():
    client = openais()
    said = [{"role": "user", "content": QUESTION}]
    bodies = [{"model": model, "messages": said} for model in [*TIERS, "gpt-9"]]
    lines = [
        {"custom_id": body["model"], "method": "POST", "url": "/v1/chat/completions", "body": body}
        for body in bodies
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file = client.files.create(file=("lines.jsonl", text.encode()), purpose="batch")
    assert client.files.content(file.id).text == text
    assert file.id in [known.id for known in client.files.list(purpose="batch")]
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    done = until_ended(
        lambda: client.batches.retrieve(batch.id), lambda it: it.status == "completed"
    )
    assert (done.request_counts.completed, done.request_counts.failed) == (3, 1), done
    read = lambda id: [json.loads(line) for line in client.files.content(id).text.splitlines()]
    for line in read(done.output_file_id):
        choice = line["response"]["body"]["choices"][0]
        assert choice["message"]["content"] == ANSWER, line
    assert [line["custom_id"] for line in read(done.error_file_id)] == ["gpt-9"]
    assert batch.id in [known.id for known in client.batches.list()]
    assert client.batches.cancel(batch.id).status == "completed"
    assert client.files.delete(file.id).deleted
    refused(openai.NotFoundError, lambda: client.files.retrieve(file.id))


def message_batches():
    client = anthropic.Anthropic(base_url=ADDRESS, api_key=KEY, max_retries=0)
    said = [{"role": "user", "content": QUESTION}]
    params = lambda model: {"model": model, "max_tokens": 4096, "messages": said}
    requests = [
        {"custom_id": f"line-{index}", "params": params(model)}
        for index, model in enumerate([*TIERS, "gpt-9"])
    ]
    batch = client.messages.batches.create(requests=requests)
    ended = lambda it: it.processing_status == "ended"
    done = until_ended(lambda: client.messages.batches.retrieve(batch.id), ended)
    assert (done.request_counts.succeeded, done.request_counts.errored) == (3, 1), done
    results = list(client.messages.batches.results(batch.id))
    texts = [it.result.message.content[0].text for it in results[:3]]
    assert texts == [ANSWER] * 3, texts
    assert results[3].result.error.error.type == "not_found_error", results[3]
    assert batch.id in [known.id for known in client.messages.batches.list()]
    assert client.messages.batches.cancel(batch.id).processing_status == "ended"
    until_ended(lambda: client.messages.batches.delete(batch.id), lambda _: True)


def embeddings(model):
    client = openais()
    whole = client.embeddings.create(model=model, input=[QUESTION, "b"])
    assert [len(it.embedding) for it in whole.data] == [EMBEDDERS[model]] * 2, whole
    assert whole.usage.prompt_tokens > 0
    plain = client.embeddings.create(model=model, input=QUESTION, encoding_format="float")
    pairs = zip(plain.data[0].embedding, whole.data[0].embedding)
    assert all(abs(a - b) < 1e-6 for a, b in pairs), "base64 and float are the same"


def openais_errors():
    client = openais()
    said = [{"role": "user", "content": "x"}]
    ask = lambda client, model: client.chat.completions.create(model=model, messages=said)
    unknown = refused(openai.NotFoundError, lambda: ask(client, "gpt-9"))
    assert unknown.code == "model_not_found" and unknown.request_id, unknown
    refused(openai.AuthenticationError, lambda: ask(openais("wrong"), "auto"))
    ids = [model.id for model in client.models.list()]
    assert ids[:2] == ["auto", "task:chat"] and set(TIERS) <= set(ids), ids


def messages(model):
    client = anthropic.Anthropic(base_url=ADDRESS, api_key=KEY, max_retries=0)
    said = [{"role": "user", "content": QUESTION}]
    asked = {"model": model, "max_tokens": 4096, "messages": said}
    whole = client.messages.create(**asked)
    assert whole.content[0].text == ANSWER and whole.stop_reason == "end_turn", whole
    with client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == ANSWER
        final = stream.get_final_message()
    assert final.usage.output_tokens == whole.usage.output_tokens > 0, final
    tools = [{"name": "look_up", "input_schema": {"type": "object", "properties": {}}}]
    called = client.messages.create(**asked, tools=tools, tool_choice={"type": "any"})
    assert called.stop_reason == "tool_use", called
    call = next(block for block in called.content if block.type == "tool_use")
    assert call.input == {"text": QUESTION}, call
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "It is Vienna."}
    back = [result, {"type": "text", "text": QUESTION}]
    turns = [*said, {"role": "assistant", "content": called.content}]
    turns.append({"role": "user", "content": back})
    told = client.messages.create(**{**asked, "messages": turns}, tools=tools)
    assert told.content[0].text == ANSWER, told
    shaped = client.messages.create(
        **{**asked, "messages": [{"role": "user", "content": AS_JSON}]},
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    )
    assert json.loads(shaped.content[0].text) == {"city": "Vienna"}
    count = client.messages.count_tokens(model=model, messages=said)
    assert count.input_tokens > 0
    long = {**asked, "messages": [{"role": "user", "content": LONG}]}
    stream = client.messages.create(**long, stream=True)
    next(iter(stream))
    stream.close()
    until_idle()


def anthropics_errors():
    make = lambda key: anthropic.Anthropic(base_url=ADDRESS, api_key=key, max_retries=0)
    said = [{"role": "user", "content": "x"}]
    ask = lambda key, model: make(key).messages.create(model=model, max_tokens=9, messages=said)
    unknown = refused(anthropic.NotFoundError, lambda: ask(KEY, "gpt-9"))
    assert unknown.body["error"]["type"] == "not_found_error" and unknown.request_id
    refused(anthropic.AuthenticationError, lambda: ask("wrong", "auto"))
    assert set(TIERS) <= {model.id for model in make(KEY).models.list()}


def googles(key=KEY):
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=ADDRESS))
    CLIENTS.append(client)  # It closes its connections when nobody holds it any more.
    return client


def generate_content(model):
    models = googles().models
    whole = models.generate_content(model=model, contents=QUESTION)
    assert whole.text == ANSWER, whole
    assert whole.usage_metadata.candidates_token_count > 0
    chunks = list(models.generate_content_stream(model=model, contents=QUESTION))
    assert "".join(chunk.text or "" for chunk in chunks) == ANSWER
    assert chunks[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count
    function = types.FunctionDeclaration(
        name="look_up", parameters_json_schema={"type": "object", "properties": {}}
    )
    any_of = types.FunctionCallingConfig(mode="ANY")
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[function])],
        tool_config=types.ToolConfig(function_calling_config=any_of),
    )
    called = models.generate_content(model=model, contents=QUESTION, config=config)
    call = called.function_calls[0]
    assert (call.name, call.args) == ("look_up", {"text": QUESTION}), called
    user = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    response = {"name": call.name, "id": call.id, "response": {"city": "Vienna"}}
    result = types.Part(function_response=types.FunctionResponse(**response))
    back = types.Content(role="user", parts=[result, types.Part(text=QUESTION)])
    turns = [user, called.candidates[0].content, back]
    told = models.generate_content(model=model, contents=turns)
    assert told.text == ANSWER, told
    form = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=SCHEMA
    )
    shaped = models.generate_content(model=model, contents=AS_JSON, config=form)
    assert json.loads(shaped.text) == {"city": "Vienna"}
    assert models.count_tokens(model=model, contents=QUESTION).total_tokens > 0
    stream = models.generate_content_stream(model=model, contents=LONG)
    next(stream)
    stream.close()
    until_idle()


def embed_content(model):
    config = types.EmbedContentConfig(output_dimensionality=EMBEDDERS[model])
    ask = googles().models.embed_content
    both = ask(model=model, contents=[QUESTION, "b"], config=config)
    assert [len(it.values) for it in both.embeddings] == [EMBEDDERS[model]] * 2, both


def googles_errors():
    ask = lambda key, model: googles(key).models.generate_content(model=model, contents="x")
    unknown = refused(errors.ClientError, lambda: ask(KEY, "gpt-9"))
    assert (unknown.code, unknown.status) == (404, "NOT_FOUND"), unknown
    refused(errors.ClientError, lambda: ask("wrong", "auto"))
    assert "models/tier:openai" in {model.name for model in googles().models.list()}


def main():
    for check in [chat, responses, kept_responses, messages, generate_content]:
        for model in TIERS:
            check(model)
        print(f"{check.__name__}: passed with {len(TIERS)} vendors' protocols")
    for check in [embeddings, embed_content]:
        for model in EMBEDDERS:
            check(model)
        print(f"{check.__name__}: passed with {len(EMBEDDERS)} tiers")
    alone = [completions, decisions, batches, message_batches]
    for check in [*alone, openais_errors, anthropics_errors, googles_errors]:
        check()
        print(f"{check.__name__}: passed")


main()
