// The official clients of JavaScript against a running server: `node check.mjs ADDRESS`.
// Each client talks to a tier of each protocol. The key is in TIERGATE_KEY.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { toFile } from "openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, streamText, tool } from "ai";
import { z } from "zod";

// It warns of models that it does not know, and ours are our own.
globalThis.AI_SDK_LOG_WARNINGS = false;
const address = process.argv[2];
const apiKey = process.env.TIERGATE_KEY;
const tiers = ["tier:openai", "tier:anthropic", "tier:google"];
// Those that make vectors, and how many numbers these have.
const embedders = { "tier:openai": 8, "tier:google": 8, "tier:llama": 192 };
const question = "What is the capital of Austria?";
const answer = "Vienna, on the Danube: Grüße 🦀 漢字.";
const said = [{ role: "user", content: question }];

// Waits until nothing is in work: whoever hung up is not worked for.
async function untilIdle() {
  const start = Date.now();
  const headers = { authorization: `Bearer ${apiKey}` };
  for (;;) {
    const page = await (await fetch(`${address}/metrics`, { headers })).text();
    if (page.includes("\ntiergate_requests_in_flight 0\n")) return;
    assert(Date.now() - start < 5000, "a cancelled request is still in work");
  }
}

async function openai(model) {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey, maxRetries: 0 });
  const whole = await client.chat.completions.create({ model, messages: said });
  assert.equal(whole.choices[0].message.content, answer);
  let text = "";
  const stream = await client.chat.completions.create({ model, messages: said, stream: true });
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  assert.equal(text, answer);
  const parameters = { type: "object", properties: {} };
  const tools = [{ type: "function", function: { name: "look_up", parameters } }];
  const called = await client.chat.completions.create({
    model, messages: said, tools, tool_choice: "required",
  });
  const call = called.choices[0].message.tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { text: question });
  const result = { role: "tool", tool_call_id: call.id, content: "It is Vienna." };
  const messages = [...said, called.choices[0].message, result, ...said];
  const told = await client.chat.completions.create({ model, messages, tools });
  assert.equal(told.choices[0].message.content, answer);
  const response = await client.responses.create({ model, input: question });
  assert.equal(response.output_text, answer);
  const count = [{ role: "user", content: "Count." }];
  const long = await client.chat.completions.create({ model, messages: count, stream: true });
  for await (const _ of long) break;
  await untilIdle();
  await assert.rejects(
    client.chat.completions.create({ model: "gpt-9", messages: said }),
    OpenAI.NotFoundError,
  );
}

async function anthropic(model) {
  const client = new Anthropic({ baseURL: address, apiKey, maxRetries: 0 });
  const asked = { model, max_tokens: 4096, messages: said };
  const whole = await client.messages.create(asked);
  assert.equal(whole.content[0].text, answer);
  const stream = client.messages.stream(asked);
  assert.equal(await stream.finalText(), answer);
  const tools = [{ name: "look_up", input_schema: { type: "object", properties: {} } }];
  const called = await client.messages.create({ ...asked, tools, tool_choice: { type: "any" } });
  assert.equal(called.stop_reason, "tool_use");
  assert.deepEqual(called.content.at(-1).input, { text: question });
  const count = [{ role: "user", content: "Count." }];
  const long = client.messages.stream({ ...asked, messages: count });
  for await (const _ of long) break;
  long.abort();
  await untilIdle();
  await assert.rejects(
    client.messages.create({ ...asked, model: "gpt-9" }),
    Anthropic.NotFoundError,
  );
}

async function ai(model) {
  const providers = [
    createOpenAI({ baseURL: `${address}/v1`, apiKey }).chat(model),
    createOpenAI({ baseURL: `${address}/v1`, apiKey }).responses(model),
    createAnthropic({ baseURL: `${address}/v1`, apiKey })(model),
    createGoogleGenerativeAI({ baseURL: `${address}/v1beta`, apiKey })(model),
  ];
  for (const provider of providers) {
    const options = { model: provider, prompt: question, maxRetries: 0 };
    const whole = await generateText(options);
    assert.equal(whole.text, answer);
    let text = "";
    for await (const piece of streamText(options).textStream) text += piece;
    assert.equal(text, answer);
    const lookUp = tool({ description: "Looks up.", inputSchema: z.object({ text: z.string() }) });
    const called = await generateText({
      ...options, tools: { look_up: lookUp }, toolChoice: "required",
    });
    assert.deepEqual(called.toolCalls[0].input, { text: question });
  }
}

async function untilEnded(ask, ended) {
  const start = Date.now();
  for (;;) {
    const batch = await ask();
    if (ended(batch)) return batch;
    assert(Date.now() - start < 30000, JSON.stringify(batch));
    await new Promise((next) => setTimeout(next, 50));
  }
}

async function kept() {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey, maxRetries: 0 });
  const model = tiers[0];
  const first = await client.responses.create({ model, input: question });
  const second = await client.responses.create({
    model, input: question, previous_response_id: first.id,
  });
  assert.equal((await client.responses.retrieve(second.id)).output_text, answer);
  await client.responses.delete(second.id);
  await assert.rejects(client.responses.retrieve(second.id), OpenAI.NotFoundError);
  const text = await client.completions.create({ model, prompt: question });
  assert.equal(text.choices[0].text, answer);
}

async function batches() {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey, maxRetries: 0 });
  const url = "/v1/chat/completions";
  const lines = tiers.map((model) =>
    JSON.stringify({ custom_id: model, method: "POST", url, body: { model, messages: said } }),
  );
  const file = await client.files.create({
    file: await toFile(Buffer.from(lines.join("\n")), "lines.jsonl"), purpose: "batch",
  });
  const batch = await client.batches.create({
    input_file_id: file.id, endpoint: url, completion_window: "24h",
  });
  const done = await untilEnded(
    () => client.batches.retrieve(batch.id), (it) => it.status === "completed",
  );
  const output = await (await client.files.content(done.output_file_id)).text();
  const answers = output.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(answers.map((it) => it.custom_id), tiers);
  for (const it of answers) {
    assert.equal(it.response.body.choices[0].message.content, answer);
  }
  const vendor = new Anthropic({ baseURL: address, apiKey, maxRetries: 0 });
  const params = (model) => ({ model, max_tokens: 4096, messages: said });
  const requests = tiers.map((model, index) => ({
    custom_id: `line-${index}`, params: params(model),
  }));
  const begun = await vendor.messages.batches.create({ requests });
  await untilEnded(
    () => vendor.messages.batches.retrieve(begun.id), (it) => it.processing_status === "ended",
  );
  const told = [];
  for await (const it of await vendor.messages.batches.results(begun.id)) {
    told.push(it.result.message.content[0].text);
  }
  assert.deepEqual(told, tiers.map(() => answer));
}

async function vectors() {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey, maxRetries: 0 });
  for (const [model, length] of Object.entries(embedders)) {
    const input = [question, "b"];
    const whole = await client.embeddings.create({ model, input });
    assert.deepEqual(whole.data.map((it) => it.embedding.length), [length, length]);
    for (const provider of [
      createOpenAI({ baseURL: `${address}/v1`, apiKey }).embedding(model),
      createGoogleGenerativeAI({ baseURL: `${address}/v1beta`, apiKey }).embedding(model),
    ]) {
      const { embeddings } = await embedMany({ model: provider, values: input, maxRetries: 0 });
      for (const [index, { embedding }] of whole.data.entries()) {
        assert.equal(embeddings[index].length, length);
        assert(embedding.every((it, at) => Math.abs(it - embeddings[index][at]) < 1e-6));
      }
    }
  }
}

for (const check of [openai, anthropic, ai]) {
  for (const model of tiers) await check(model);
  console.log(`${check.name}: passed with ${tiers.length} vendors' protocols`);
}
for (const check of [vectors, kept, batches]) {
  await check();
  console.log(`${check.name}: passed`);
}
