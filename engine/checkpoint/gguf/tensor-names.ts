/**
 * GGUF's names of tensors, and the names that the same tensors have in safetensors files, in whose terms the
 * architectures are written. Names: `gguf-py/gguf/constants.py` of llama.cpp.
 *
 * Two things are undone on the way. Experts lie in one tensor `[experts, rows, cols]`: each becomes a tensor of its own.
 * For some architectures the rows of q and k lie as interleaved pairs (rotation turns element 2i with 2i + 1) where
 * safetensors have halves (i with i + headDim/2): they are marked, and put in order as they are loaded.
 */

import type { TensorInfo } from '../tensor-info.ts';

/** What stands for a layer's tensor `blk.N.<key>` behind `model.layers.N.`. Weight and bias follow alike. */
const LAYER: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_sinks: 'self_attn.sinks',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  ffn_gate_inp: 'mlp.gate',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
  ffn_gate_exps: 'mlp.experts.#.gate_proj',
  ffn_up_exps: 'mlp.experts.#.up_proj',
  ffn_down_exps: 'mlp.experts.#.down_proj',
};

const MODEL: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

const NORMS_ON_BOTH_SIDES = {
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

/** In what the layers of a `model_type` are named otherwise. */
const VARIANTS: Readonly<Record<string, Readonly<Record<string, string>> | undefined>> = {
  gemma2: NORMS_ON_BOTH_SIDES,
  gemma3_text: NORMS_ON_BOTH_SIDES,
  olmo2: NORMS_ON_BOTH_SIDES,
  phi3: { ffn_up: 'mlp.gate_up_proj' },
  starcoder2: { ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' },
  stablelm: { attn_q_norm: 'self_attn.q_layernorm.norms.#', attn_k_norm: 'self_attn.k_layernorm.norms.#' },
  mixtral: {
    ffn_gate_inp: 'block_sparse_moe.gate',
    ffn_gate_exps: 'block_sparse_moe.experts.#.w1',
    ffn_up_exps: 'block_sparse_moe.experts.#.w3',
    ffn_down_exps: 'block_sparse_moe.experts.#.w2',
  },
  gpt_oss: {
    post_attention_norm: 'post_attention_layernorm',
    ffn_gate_inp: 'mlp.router',
  },
};

/** Where llama.cpp rotates neighbouring elements, its converter has changed the order of the rows of q and k. */
const INTERLEAVED: ReadonlySet<string> = new Set(['llama', 'mixtral', 'granite', 'smollm3']);

/** Norms of these are stored with 1 added, as what the values are multiplied by. */
const NORMS_PLUS_ONE: ReadonlySet<string> = new Set(['gemma', 'gemma2', 'gemma3_text']);

/** Small tensors that hold settings, not weights. */
export const ROPE_FACTORS: ReadonlySet<string> = new Set([
  'rope_freqs.weight',
  'rope_factors_long.weight',
  'rope_factors_short.weight',
]);

/** The tensors under their names in safetensors; those without such a name keep their own. */
export function renameTensors(
  tensors: Iterable<TensorInfo>,
  { modelType, headDim }: { readonly modelType: string; readonly headDim: number },
): ReadonlyMap<string, TensorInfo> {
  const names = { ...LAYER, ...VARIANTS[modelType] };
  const renamed: TensorInfo[] = [];
  for (const tensor of tensors) {
    if (ROPE_FACTORS.has(tensor.name)) continue;
    const name = nameOf(tensor.name, names);
    if (name.includes('#')) renamed.push(...eachPart(tensor, name));
    else if (INTERLEAVED.has(modelType) && /\.self_attn\.[qk]_proj\./.test(name)) {
      renamed.push({ ...tensor, name, interleavedHeadRows: headDim });
    } else if (NORMS_PLUS_ONE.has(modelType) && name.endsWith('norm.weight')) {
      renamed.push({ ...tensor, name, holdsPlusOne: true });
    } else renamed.push({ ...tensor, name });
  }
  return new Map(renamed.map((tensor) => [tensor.name, tensor]));
}

function nameOf(name: string, layerNames: Readonly<Record<string, string>>): string {
  const [, layer, key, expert, end] = /^(?:blk\.(\d+)\.)?([a-z_]+)(?:\.(\d+))?(\.weight|\.bias)$/.exec(name) ?? [];
  if (key === undefined) return name;
  if (layer === undefined) return Object.hasOwn(MODEL, key) ? `${MODEL[key]}${end}` : name;
  // Early files hold each expert in a tensor `blk.N.ffn_gate.E`.
  const known = expert === undefined ? key : `${key}_exps`;
  if (!Object.hasOwn(layerNames, known)) return name;
  const path = layerNames[known];
  const suffix = key === 'attn_sinks' ? '' : end;
  return `model.layers.${layer}.${expert === undefined ? path : path.replace('#', expert)}${suffix}`;
}

/** The matrices of all experts, or the norms of all heads, one by one. */
function eachPart(tensor: TensorInfo, name: string): TensorInfo[] {
  const [parts = 0, ...shape] = tensor.shape;
  const byteLength = tensor.byteLength / parts;
  if (parts === 0 || parts > MAX_PARTS || !Number.isInteger(byteLength)) return [{ ...tensor, name }];
  return Array.from({ length: parts }, (_, part) => ({
    ...tensor,
    name: name.replace('#', String(part)),
    shape,
    offset: tensor.offset + part * byteLength,
    byteLength,
  }));
}

const MAX_PARTS = 4096;
