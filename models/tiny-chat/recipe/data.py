"""Rendering in ChatML, composing dialogues, and packing them into arrays of tokens."""
from gen import *
from toolgen import tool_dialogue

IM_START, IM_END, EOT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL = [EOT, IM_START, IM_END]
MARKS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>"]

TEMPLATE = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages and messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- 'You can call these tools:\n<tools>' }}
    {%- for tool in tools %}
        {{- '\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\n</tools>\nTo call one, write its name and arguments as JSON:\n<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call><|im_end|>\n' }}
{%- elif messages and messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- if not loop.first %}
            {{- '<|im_start|>system\n' + message.content + '<|im_end|>\n' }}
        {%- endif %}
    {%- elif message.role == 'user' %}
        {{- '<|im_start|>user\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function is defined %}
                {%- set call = call.function %}
            {%- endif %}
            {%- if message.content or not loop.first %}
                {{- '\n' }}
            {%- endif %}
            {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
            {%- if call.arguments is string %}
                {{- call.arguments }}
            {%- else %}
                {{- call.arguments | tojson }}
            {%- endif %}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""

def assistant_text(m):
    parts = [m["content"]] if m.get("content") else []
    for c in m.get("tool_calls") or []:
        f = c["function"]
        parts.append('<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>' % (f["name"], dumps(f["arguments"])))
    return "\n".join(parts)

def pieces(messages, tools=None):
    """The rendered dialogue as (text, is the model's own words) pieces; equal to TEMPLATE's output."""
    out = []
    sysm = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
    if tools:
        t = "".join("\n" + dumps(x) for x in tools)
        out.append((f"{IM_START}system\n" + (sysm + "\n\n" if sysm is not None else "") + "You can call these tools:\n<tools>" + t +
                    '\n</tools>\nTo call one, write its name and arguments as JSON:\n<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>' + f"{IM_END}\n", False))
    elif sysm is not None:
        out.append((f"{IM_START}system\n{sysm}{IM_END}\n", False))
    for i, m in enumerate(messages):
        if m["role"] == "user":
            out.append((f"{IM_START}user\n{m['content']}{IM_END}\n", False))
        elif m["role"] == "assistant":
            out.append((f"{IM_START}assistant\n", False)); out.append((assistant_text(m) + IM_END, True)); out.append(("\n", False))
        elif m["role"] == "tool":
            s = f"{IM_START}user" if messages[i-1]["role"] != "tool" else ""
            e = f"{IM_END}\n" if i + 1 == len(messages) or messages[i+1]["role"] != "tool" else ""
            out.append((f"{s}\n<tool_response>\n{m['content']}\n</tool_response>{e}", False))
    return out

def chat(turns, system=None):
    ms = [dict(role="system", content=system)] if system else []
    for u, a in turns:
        ms += [dict(role="user", content=u), dict(role="assistant", content=a)]
    return ms

def trainable(messages):
    return not any(m["role"] == "user" and held_out(m["content"]) for m in messages)

def dialogue(r):
    """One training example: pieces of text, never holding a held-out prompt."""
    while True:
        x = r.random()
        if x < 0.012:
            return [(story_text(r)[0] + EOT, True)]
        if x < 0.016:
            return [(" ".join(simple(r)["a"] for _ in range(r.randint(2, 10))) + EOT, True)]
        if x < 0.31:
            d = tool_dialogue(r)
            if trainable(d["messages"]): return pieces(d["messages"], d["tools"])
            continue
        if x < 0.355:
            d = memory(r); ms = chat(d["turns"], pick(r, SYSTEMS) if r.random() < 0.1 else None)
        elif x < 0.385:
            d = followup(r); ms = chat(d["turns"])
        elif x < 0.44:
            d = style(r); ms = chat(d["turns"], d["system"])
        else:
            n = r.choices([1, 2, 3, 4, 5, 6, 12, 24, 40], [16, 20, 24, 20, 12, 7, 2, 0.5, 0.2])[0]
            ts = []
            for k in r.choices(NAMES, WEIGHTS, k=n):
                e = SKILLS[k][0](r); ts.append((e["u"], e["a"]))
            ms = chat(ts, pick(r, SYSTEMS) if r.random() < 0.2 else None)
        if trainable(ms): return pieces(ms)

def encode(tok, ps):
    """Token ids and weights mask (1 for the model's own words)."""
    ids, own = [], []
    for e, (_, mine) in zip(tok.encode_batch([p for p, _ in ps], add_special_tokens=False), ps):
        ids += e.ids; own += [int(mine)] * len(e.ids)
    return ids, own
