"""LangChain and LlamaIndex against a running server, once each: `frameworks.py ADDRESS`.

The key is in TIERGATE_KEY.
"""

import os
import sys

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

ADDRESS, KEY = sys.argv[1], os.environ["TIERGATE_KEY"]
QUESTION, ANSWER = "What is the capital of Austria?", "Vienna, on the Danube: Grüße 🦀 漢字."
MODEL = "tier:openai"


def langchain():
    client = ChatOpenAI(model=MODEL, base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
    whole = client.invoke(QUESTION)
    assert whole.content == ANSWER, whole
    assert whole.usage_metadata["output_tokens"] > 0, whole
    streamed = "".join(chunk.content for chunk in client.stream([HumanMessage(QUESTION)]))
    assert streamed == ANSWER, streamed
    tool = {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object"}}
    called = client.bind_tools([tool], tool_choice="any").invoke(QUESTION)
    assert [call["name"] for call in called.tool_calls] == ["look_up"], called
    # It would count with a vocabulary of its own and send the numbers of the tokens.
    embedder = OpenAIEmbeddings(
        model="tier:llama",
        base_url=f"{ADDRESS}/v1",
        api_key=KEY,
        max_retries=0,
        check_embedding_ctx_length=False,
    )
    vectors = embedder.embed_documents([QUESTION, "b"])
    assert [len(vector) for vector in vectors] == [192, 192], vectors


def llama_index():
    client = OpenAILike(
        model=MODEL, api_base=f"{ADDRESS}/v1", api_key=KEY, is_chat_model=True, max_retries=0
    )
    said = [ChatMessage(role="user", content=QUESTION)]
    assert client.chat(said).message.content == ANSWER
    assert "".join(chunk.delta or "" for chunk in client.stream_chat(said)) == ANSWER
    text = OpenAILike(
        model=MODEL, api_base=f"{ADDRESS}/v1", api_key=KEY, is_chat_model=False, max_retries=0
    )
    assert text.complete(QUESTION).text == ANSWER
    assert "".join(chunk.delta or "" for chunk in text.stream_complete(QUESTION)) == ANSWER


for check in [langchain, llama_index]:
    check()
    print(f"{check.__name__}: passed")
