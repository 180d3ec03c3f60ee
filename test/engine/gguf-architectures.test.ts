/**
 * Architectures of which the oracle has no GGUF file: its safetensors models written as llama.cpp's converter names and
 * orders them (`convert_hf_to_gguf.py`, `gguf-py/gguf/tensor_mapping.py`), against the oracle's numbers.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openHuggingFace } from '../../engine/checkpoint/hugging-face.ts';
import type { TensorInfo } from '../../engine/checkpoint/tensor-info.ts';
import { loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { dequantize, type FileFormat, WasmDevice } from '../../kernels/index.ts';
import { type GgufEntry, type GgufTensor, ggufFile } from './gguf-file.ts';
import { memorySource } from './memory-source.ts';

type Config = Record<string, never> & { readonly [key: string]: number };

interface Conversion {
  readonly model: string;
  readonly architecture: string;
  /** Names of a layer's tensors that differ from the usual, without their ends. */
  readonly names?: Readonly<Record<string, string>>;
  readonly settings?: (config: Config) => readonly GgufEntry[];
  /** Rows of q and k are put as interleaved pairs. */
  readonly interleaved?: true;
}

const NAMES: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};
const BOTH_SIDES = {
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
};

const CONVERSIONS: readonly Conversion[] = [
  { model: 'olmo2', architecture: 'olmo2', names: BOTH_SIDES },
  {
    model: 'granite',
    architecture: 'granite',
    interleaved: true,
    settings: (config) => [
      ['granite.embedding_scale', 'f32', config.embedding_multiplier],
      ['granite.residual_scale', 'f32', config.residual_multiplier],
      ['granite.attention.scale', 'f32', config.attention_multiplier],
      ['granite.logit_scale', 'f32', config.logits_scaling],
    ],
  },
  { model: 'smollm3', architecture: 'smollm3', interleaved: true },
  {
    model: 'cohere2',
    architecture: 'cohere2',
    settings: (config) => [
      ['cohere2.attention.layer_norm_epsilon', 'f32', config.layer_norm_eps],
      ['cohere2.logit_scale', 'f32', config.logit_scale],
      ['cohere2.attention.sliding_window', 'u32', config.sliding_window],
    ],
  },
  {
    model: 'qwen3-moe',
    architecture: 'qwen3moe',
    names: { 'mlp.gate': 'ffn_gate_inp' },
    settings: (config) => [
      ['qwen3moe.expert_count', 'u32', config.num_experts],
      ['qwen3moe.expert_used_count', 'u32', config.num_experts_per_tok],
      ['qwen3moe.expert_feed_forward_length', 'u32', config.moe_intermediate_size],
    ],
  },
  {
    model: 'gpt-oss',
    architecture: 'gpt-oss',
    names: {
      post_attention_layernorm: 'post_attention_norm',
      'self_attn.sinks': 'attn_sinks',
      'mlp.router': 'ffn_gate_inp',
    },
    settings: (config) => [
      ['gpt-oss.expert_count', 'u32', config.num_local_experts],
      ['gpt-oss.expert_used_count', 'u32', config.num_experts_per_tok],
      ['gpt-oss.expert_feed_forward_length', 'u32', config.intermediate_size],
      ['gpt-oss.attention.sliding_window', 'u32', config.sliding_window],
      ['gpt-oss.rope.scaling.type', 'string', 'yarn'],
      ['gpt-oss.rope.scaling.factor', 'f32', 32],
      ['gpt-oss.rope.scaling.original_context_length', 'u32', 128],
    ],
  },
];

/** Part of the name of one expert's tensor, and GGUF's name of all experts' together. */
const EXPERT = /^(model\.layers\.(\d+)\.mlp\.experts\.)(\d+)\.(gate|up|down)_proj\.(weight|bias)$/;

async function ggufOf({ model, architecture, names, settings, interleaved }: Conversion): Promise<Uint8Array> {
  const folder = fileURLToPath(new URL(`../oracle/models/${model}`, import.meta.url));
  const source = await openDirectory(folder);
  const config = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as Config;
  const headDim = config.head_dim ?? config.hidden_size / config.num_attention_heads;
  const { tensors } = await openHuggingFace(source).readModel();
  const valuesOf = async ({ dtype, packed, file, offset, byteLength }: TensorInfo) => {
    const pieces = [];
    for (const piece of packed?.pieces ?? [{ file, offset, byteLength }]) {
      const bytes = new Uint8Array(piece.byteLength);
      await source.read(piece.file, piece.offset, bytes);
      pieces.push(bytes);
    }
    return dequantize(dtype as FileFormat, packed ? packed.unpack(pieces) : pieces[0]);
  };
  const written: GgufTensor[] = [];
  const write = (name: string, shape: readonly number[], values: Float32Array) =>
    written.push({ name, dims: shape.toReversed(), type: 0, data: new Uint8Array(values.buffer) });
  const experts = new Map<string, { shape: readonly number[]; values: Float32Array[] }>();
  for (const tensor of tensors.tensors.values()) {
    const values = await valuesOf(tensor);
    const [, , layer, expert, matrix, end] = EXPERT.exec(tensor.name) ?? [];
    if (expert === undefined) {
      const name = nameOf(tensor.name, { ...NAMES, ...names });
      const isRotated = interleaved && /attn_[qk]\./.test(name);
      write(name, tensor.shape, isRotated ? interleave(values, headDim, tensor.shape) : values);
      continue;
    }
    const name = `blk.${layer}.ffn_${matrix}_exps.${end}`;
    const all = experts.get(name) ?? { shape: tensor.shape, values: [] };
    all.values[Number(expert)] = values;
    experts.set(name, all);
  }
  for (const [name, { shape, values }] of experts) {
    const joined = Float32Array.from(values.flatMap((each) => [...each]));
    write(name, [values.length, ...shape], joined);
  }
  await source.close();
  const key = (name: string) => `${architecture}.${name}`;
  return ggufFile(
    [
      ['general.architecture', 'string', architecture],
      [key('context_length'), 'u32', config.max_position_embeddings],
      [key('embedding_length'), 'u32', config.hidden_size],
      [key('block_count'), 'u32', config.num_hidden_layers],
      [key('feed_forward_length'), 'u32', config.intermediate_size],
      [key('attention.head_count'), 'u32', config.num_attention_heads],
      [key('attention.head_count_kv'), 'u32', config.num_key_value_heads],
      [key('attention.key_length'), 'u32', headDim],
      [key('attention.value_length'), 'u32', headDim],
      [key('attention.layer_norm_rms_epsilon'), 'f32', config.rms_norm_eps ?? 1e-5],
      [key('rope.freq_base'), 'f32', config.rope_theta],
      ...(settings?.(config) ?? []),
    ],
    written,
  );
}

function nameOf(name: string, layerNames: Readonly<Record<string, string>>): string {
  const [, layer, path, end = ''] = /^model\.layers\.(\d+)\.(.*?)(\.weight|\.bias)?$/.exec(name) ?? [];
  if (layer !== undefined) return `blk.${layer}.${layerNames[path]}${end || '.weight'}`;
  return (
    { 'model.embed_tokens.weight': 'token_embd.weight', 'model.norm.weight': 'output_norm.weight' }[name] ??
    'output.weight'
  );
}

/** Row i of a head's first half and row i of its second become neighbours. */
function interleave(values: Float32Array, headDim: number, [rows, cols = 1]: readonly number[]): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const [head, i] = [Math.floor(row / headDim), row % headDim];
    const from = head * headDim + (i % 2) * (headDim / 2) + Math.floor(i / 2);
    out.set(values.subarray(from * cols, (from + 1) * cols), row * cols);
  }
  return out;
}

const test = suite('architectures in GGUF files');

for (const conversion of CONVERSIONS) {
  test(`${conversion.architecture}: a converted file gives the logits of the oracle`, async () => {
    const file = memorySource({ 'm.gguf': await ggufOf(conversion) });
    const model = await loadModel(file, {
      device: await WasmDevice.create({ threads: 1 }),
      maxNumSeqs: 1,
      maxModelLen: 320,
    });
    const reference = JSON.parse(
      readFileSync(new URL(`../oracle/models/${conversion.model}/reference.json`, import.meta.url), 'utf8'),
    ) as { logits: { ids: number[]; logits: number[]; max_abs: number }[] };
    for (const { ids, logits, max_abs } of reference.logits) {
      await model.forward({
        tokens: ids,
        positions: ids.map((_, i) => i),
        slots: ids.map(() => 0),
        blockTables: [Array.from({ length: 20 }, (_, i) => i)],
        lengths: [ids.length],
        logitRows: [ids.length - 1],
      });
      const found = await model.logits(1);
      const worst = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0) / max_abs;
      assert.ok(worst <= 2e-3, `${ids.length} tokens: ${worst.toExponential(1)} of max_abs`);
    }
    await model.close();
  });
}

test.run();
