/**
 * From the metadata of a GGUF file to the settings of config.json, in whose terms the architectures are written.
 *
 * Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized key-value pairs". What a file leaves
 * out because llama.cpp has it in its code stands here as in `llama-model.cpp`.
 */

import { CheckpointError } from '../../errors.ts';
import { Fields } from '../fields.ts';
import { show } from '../json.ts';
import type { GgufValue } from './cursor.ts';

/** What settings are made of: the metadata, and the tensors as far as settings follow from them. */
export interface GgufContents {
  readonly file: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Shape of a tensor, by GGUF's name; undefined when there is none. */
  readonly shapeOf: (tensor: string) => readonly number[] | undefined;
  /** Factors that rope frequencies are divided by, by GGUF's names of the small tensors that hold them. */
  readonly ropeFactors: ReadonlyMap<string, readonly number[]>;
  readonly eosTokenIds: readonly number[];
}

const MAX_LAYERS = 1024;

type Settings = Record<string, unknown>;

/** How an architecture of llama.cpp's is called in config.json, and what of its settings only it has. */
interface Architecture {
  readonly modelType: string;
  readonly settings?: (read: Reader) => Settings;
}

const EXPERTS = (read: Reader): Settings => ({
  num_experts: read.integer('expert_count'),
  num_experts_per_tok: read.integer('expert_used_count'),
  moe_intermediate_size: read.integer('expert_feed_forward_length'),
});

const LAYER_NORM = (read: Reader): Settings => ({
  layer_norm_eps: read.number('attention.layer_norm_epsilon'),
  norm_epsilon: read.number('attention.layer_norm_epsilon'),
});

/** By `general.architecture`. */
const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ['qwen2', { modelType: 'qwen2' }],
  ['qwen3', { modelType: 'qwen3' }],
  [
    'qwen2moe',
    {
      modelType: 'qwen2_moe',
      settings: (read) => ({
        ...EXPERTS(read),
        shared_expert_intermediate_size: read.integer('expert_shared_feed_forward_length'),
        norm_topk_prob: false,
      }),
    },
  ],
  ['qwen3moe', { modelType: 'qwen3_moe', settings: (read) => ({ ...EXPERTS(read), norm_topk_prob: true }) }],
  ['gemma', { modelType: 'gemma' }],
  [
    'gemma2',
    {
      modelType: 'gemma2',
      settings: (read) => ({
        hidden_activation: 'gelu_pytorch_tanh',
        attn_logit_softcapping: read.optional('attn_logit_softcapping') ?? 50,
        final_logit_softcapping: read.optional('final_logit_softcapping') ?? 30,
        // The 27B model alone divides by the hidden size of a head, which its q and k do not have.
        query_pre_attn_scalar: read.layers === 46 ? read.hiddenSize / read.heads : read.headDim,
      }),
    },
  ],
  [
    'gemma3',
    {
      modelType: 'gemma3_text',
      settings: (read) => ({
        hidden_activation: 'gelu_pytorch_tanh',
        query_pre_attn_scalar: read.layers === 62 ? read.hiddenSize / read.heads : read.headDim,
        rope_local_base_freq: read.optional('rope.freq_base_swa') ?? 10_000,
        rope_theta: read.optional('rope.freq_base') ?? 1_000_000,
        sliding_window_pattern: read.optional('attention.sliding_window_pattern') ?? 6,
        final_logit_softcapping: read.optional('final_logit_softcapping') ?? null,
      }),
    },
  ],
  ['phi3', { modelType: 'phi3' }],
  ['olmo2', { modelType: 'olmo2' }],
  [
    'granite',
    {
      modelType: 'granite',
      settings: (read) => ({
        embedding_multiplier: read.optional('embedding_scale') ?? 1,
        residual_multiplier: read.optional('residual_scale') ?? 1,
        attention_multiplier: read.optional('attention.scale') ?? read.headDim ** -0.5,
        logits_scaling: read.optional('logit_scale') ?? 1,
      }),
    },
  ],
  [
    'smollm3',
    {
      modelType: 'smollm3',
      settings: ({ layers }) => ({
        no_rope_layers: Array.from({ length: layers }, (_, layer) => ((layer + 1) % 4 === 0 ? 0 : 1)),
      }),
    },
  ],
  [
    'cohere2',
    {
      modelType: 'cohere2',
      settings: (read) => ({
        ...LAYER_NORM(read),
        logit_scale: read.number('logit_scale'),
        sliding_window_pattern: 4,
      }),
    },
  ],
  [
    'gpt-oss',
    {
      modelType: 'gpt_oss',
      settings: (read) => ({
        num_local_experts: read.integer('expert_count'),
        num_experts_per_tok: read.integer('expert_used_count'),
        intermediate_size: read.integer('expert_feed_forward_length'),
        swiglu_limit: 7,
      }),
    },
  ],
  [
    'stablelm',
    {
      modelType: 'stablelm',
      settings: (read) => ({
        ...LAYER_NORM(read),
        use_parallel_residual: read.flag('use_parallel_residual', false),
        use_qkv_bias: read.hasTensor('blk.0.attn_q.bias'),
        qk_layernorm: read.hasTensor('blk.0.attn_q_norm.weight'),
      }),
    },
  ],
  [
    'starcoder2',
    { modelType: 'starcoder2', settings: (read) => ({ ...LAYER_NORM(read), hidden_act: 'gelu_pytorch_tanh' }) },
  ],
]);

/** Architectures of the layout of Llama, or with experts of that of Mixtral. */
const LLAMA_KIN: ReadonlySet<string> = new Set(['llama', 'mistral3']);
const LLAMA: Architecture = { modelType: 'llama' };
const MIXTRAL: Architecture = {
  modelType: 'mixtral',
  settings: (read) => ({
    num_local_experts: read.integer('expert_count'),
    num_experts_per_tok: read.integer('expert_used_count'),
    sliding_window: null,
  }),
};

/**
 * The settings of a GGUF file as config.json would say them.
 * @throws CheckpointError naming the key that is missing, wrong or not supported
 */
export function configOfGguf(contents: GgufContents): Fields {
  const read = new Reader(contents);
  const { modelType, settings } = architectureOf(read);
  return new Fields(contents.file, {
    model_type: modelType,
    vocab_size: read.vocabSize,
    hidden_size: read.hiddenSize,
    intermediate_size: read.perLayer('feed_forward_length', 0),
    num_hidden_layers: read.layers,
    num_attention_heads: read.heads,
    num_key_value_heads: read.perLayer('attention.head_count_kv', read.heads),
    head_dim: read.headDim,
    max_position_embeddings: read.integer('context_length'),
    rms_norm_eps: read.optional('attention.layer_norm_rms_epsilon') ?? 1e-6,
    attention_bias: read.hasTensor('blk.0.attn_q.bias'),
    mlp_bias: read.hasTensor('blk.0.ffn_down.bias'),
    use_bias: read.hasTensor('blk.0.attn_q.bias'),
    tie_word_embeddings: !read.hasTensor('output.weight'),
    eos_token_id: contents.eosTokenIds.length > 0 ? contents.eosTokenIds : null,
    rope_theta: read.optional('rope.freq_base') ?? 10_000,
    partial_rotary_factor: (read.optional('rope.dimension_count') ?? read.headDim) / read.headDim,
    rope_scaling: ropeScaling(read),
    sliding_window: read.optional('attention.sliding_window') ?? null,
    ...settings?.(read),
  });
}

function architectureOf(read: Reader): Architecture {
  const { architecture } = read;
  if (LLAMA_KIN.has(architecture)) return read.has('expert_count') ? MIXTRAL : LLAMA;
  return ARCHITECTURES.get(architecture) as Architecture;
}

/** The member of config.json, with scaling as it is told by keys, or by tensors of factors. */
function ropeScaling(read: Reader): Settings | null {
  const { ropeFactors } = read;
  const original = read.optional('rope.scaling.original_context_length');
  const short = ropeFactors.get('rope_factors_short.weight');
  const long = ropeFactors.get('rope_factors_long.weight');
  if (short !== undefined && long !== undefined) {
    return {
      rope_type: 'longrope',
      short_factor: short,
      long_factor: long,
      original_max_position_embeddings: original ?? read.integer('context_length'),
      ...present('attention_factor', read.optional('rope.scaling.attn_factor')),
    };
  }
  // What Llama 3.1's scaling comes to for each frequency, worked out when the file was written.
  const factors = ropeFactors.get('rope_freqs.weight');
  if (factors !== undefined) return { rope_type: 'factors', factors };
  const type = read.text('rope.scaling.type', 'none');
  const factor = read.optional('rope.scaling.factor') ?? read.optional('rope.scale_linear') ?? 1;
  switch (type) {
    case 'none':
      return factor === 1 ? null : { rope_type: 'linear', factor };
    case 'linear':
      return { rope_type: 'linear', factor };
    case 'yarn':
      return {
        rope_type: 'yarn',
        factor,
        original_max_position_embeddings: original ?? read.integer('context_length'),
        truncate: read.architecture !== 'gpt-oss',
        ...present('beta_fast', read.optional('rope.scaling.yarn_beta_fast')),
        ...present('beta_slow', read.optional('rope.scaling.yarn_beta_slow')),
      };
    default:
      return read.fail(`${read.architecture}.rope.scaling.type is ${show(type)}; expected none, linear or yarn`);
  }
}

function present(name: string, value: number | undefined): Settings {
  return value === undefined ? {} : { [name]: value };
}

/** Typed access to the keys of the file's architecture. Ranges are checked where config.json's are. */
class Reader {
  readonly architecture: string;
  readonly ropeFactors: GgufContents['ropeFactors'];
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly #contents: GgufContents;

  constructor(contents: GgufContents) {
    this.#contents = contents;
    this.ropeFactors = contents.ropeFactors;
    const architecture = contents.metadata.get('general.architecture');
    if (typeof architecture !== 'string') {
      this.fail(`general.architecture is ${show(architecture ?? undefined)}; expected a name`);
    }
    if (!LLAMA_KIN.has(architecture) && !ARCHITECTURES.has(architecture)) {
      const known = [...LLAMA_KIN, ...ARCHITECTURES.keys()].join(', ');
      this.fail(`general.architecture is ${show(architecture)}; expected one of ${known}`);
    }
    this.architecture = architecture;
    this.hiddenSize = this.integer('embedding_length');
    this.layers = this.integer('block_count');
    if (this.layers < 1 || this.layers > MAX_LAYERS) this.#wrong('block_count', `1 to ${MAX_LAYERS}`);
    this.heads = this.perLayer('attention.head_count');
    this.headDim = this.optional('attention.key_length') ?? this.hiddenSize / this.heads;
    const valueLength = this.optional('attention.value_length') ?? this.headDim;
    if (valueLength !== this.headDim) {
      this.fail(`attention.value_length is ${valueLength}; expected attention.key_length, ${this.headDim}`);
    }
    const embedding = contents.shapeOf('token_embd.weight');
    if (embedding === undefined) this.fail('no tensor "token_embd.weight"');
    this.vocabSize = embedding[0];
  }

  has(key: string): boolean {
    return this.#contents.metadata.has(`${this.architecture}.${key}`);
  }

  hasTensor(name: string): boolean {
    return this.#contents.shapeOf(name) !== undefined;
  }

  integer(key: string): number {
    const value = this.number(key);
    return Number.isSafeInteger(value) ? value : this.#wrong(key, 'an integer');
  }

  number(key: string): number {
    return this.optional(key) ?? this.#wrong(key, 'a number');
  }

  optional(key: string): number | undefined {
    const value = this.#value(key);
    return value === undefined || typeof value === 'number' ? value : this.#wrong(key, 'a number');
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#value(key) ?? fallback;
    return typeof value === 'boolean' ? value : this.#wrong(key, 'true or false');
  }

  text(key: string, fallback: string): string {
    const value = this.#value(key) ?? fallback;
    return typeof value === 'string' ? value : this.#wrong(key, 'a string');
  }

  /** A number for all layers, or one for each, which must then be the same. */
  perLayer(key: string, fallback?: number): number {
    const value = this.#value(key) ?? fallback;
    if (typeof value === 'number') return value;
    if (ArrayBuffer.isView(value)) {
      const list = Array.from(value as Uint32Array);
      if (list.length > 0 && list.every((item) => item === list[0])) return list[0];
      return this.#wrong(key, 'the same number for each layer');
    }
    return this.#wrong(key, 'a number');
  }

  /** @throws CheckpointError always. */
  fail(problem: string): never {
    throw new CheckpointError(`${this.#contents.file}: ${problem}`);
  }

  #value(key: string): GgufValue | undefined {
    return this.#contents.metadata.get(`${this.architecture}.${key}`);
  }

  #wrong(key: string, expected: string): never {
    const value = this.#value(key);
    const found =
      ArrayBuffer.isView(value) || Array.isArray(value)
        ? 'a list'
        : show(typeof value === 'bigint' ? String(value) : value);
    return this.fail(`${this.architecture}.${key} is ${found}; expected ${expected}`);
  }
}
