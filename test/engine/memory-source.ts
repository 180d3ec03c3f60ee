/** Checkpoints in memory, for tests: files from strings, objects and bytes. */

import type { ModelSource } from '../../engine/checkpoint/model-source.ts';
import { CheckpointError } from '../../engine/errors.ts';

type Content = Uint8Array | string | object;

/** A source whose reads fail with a plain Error when a buffer was made larger than the file it is to be filled from. */
export function memorySource(files: Record<string, Content>): ModelSource {
  const contents = new Map(Object.entries(files).map(([name, content]) => [name, toBytes(content)]));
  const bytesOf = (file: string) => {
    const bytes = contents.get(file);
    if (bytes === undefined) throw new CheckpointError(`${file}: no such file`);
    return bytes;
  };
  return {
    name: 'memory',
    files: [...contents.keys()],
    size: async (file) => bytesOf(file).length,
    read: async (file, offset, into) => {
      const bytes = bytesOf(file);
      if (into.length > bytes.length) throw new Error(`a buffer of ${into.length} for a file of ${bytes.length}`);
      if (into.length > bytes.length - offset) throw new CheckpointError(`${file}: too short`);
      into.set(bytes.subarray(offset, offset + into.length));
    },
    close: async () => {},
  };
}

function toBytes(content: Content): Uint8Array {
  if (content instanceof Uint8Array) return content;
  return new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content));
}

/** A file of the safetensors layout: `header` as it is (JSON unless it is a string), then `data`. */
export function safetensorsFile(header: string | object, data: number | Uint8Array): Uint8Array {
  const json = toBytes(header);
  const body = typeof data === 'number' ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + json.length + body.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(body, 8 + json.length);
  return file;
}

/** A file of F32 tensors of the given shapes, with small values that differ from each other. */
export function floatTensors(shapes: Record<string, readonly number[]>): Uint8Array {
  const header: Record<string, object> = {};
  const values: number[] = [];
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = values.length * 4;
    const count = shape.reduce((product, n) => product * n, 1);
    for (let i = 0; i < count; i++) values.push(Math.sin(values.length) / 4);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, values.length * 4] };
  }
  return safetensorsFile(header, new Uint8Array(Float32Array.from(values).buffer));
}

/** A config.json of a tiny llama, with changes. */
export function tinyConfig(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    model_type: 'llama',
    vocab_size: 40,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    hidden_act: 'silu',
    ...changes,
  };
}

/** The tensor shapes that {@link tinyConfig} asks for. */
export function tinyShapes(): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {
    'model.embed_tokens.weight': [40, 32],
    'model.norm.weight': [32],
  };
  for (const layer of ['model.layers.0', 'model.layers.1']) {
    shapes[`${layer}.input_layernorm.weight`] = [32];
    shapes[`${layer}.self_attn.q_proj.weight`] = [32, 32];
    shapes[`${layer}.self_attn.k_proj.weight`] = [16, 32];
    shapes[`${layer}.self_attn.v_proj.weight`] = [16, 32];
    shapes[`${layer}.self_attn.o_proj.weight`] = [32, 32];
    shapes[`${layer}.post_attention_layernorm.weight`] = [32];
    shapes[`${layer}.mlp.gate_proj.weight`] = [48, 32];
    shapes[`${layer}.mlp.up_proj.weight`] = [48, 32];
    shapes[`${layer}.mlp.down_proj.weight`] = [32, 48];
  }
  return shapes;
}
