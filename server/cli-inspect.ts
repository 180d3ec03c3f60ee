/** `quern inspect`: what is in a model, without loading it. */

import { basename } from 'node:path';
import { type DecoderSizes, type Inspection, inspectModel } from '../engine/inspect.ts';
import { openFiles } from '../engine/node/directory-source.ts';
import { openModel } from '../engine/node/open-model.ts';
import { parseInspect } from './cli-options.ts';
import { progressBar } from './progress-bar.ts';

const KIBIBYTE = 1024;
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** @throws UsageError, and what opening a model throws */
export async function inspectCommand(args: readonly string[]): Promise<void> {
  const { model, json } = parseInspect(args);
  const source = /\.safetensors$/.test(model)
    ? openFiles(model, [basename(model)])
    : await openModel(model, { onProgress: progressBar() });
  try {
    const inspection = await inspectModel(source);
    process.stdout.write(json ? `${JSON.stringify(inspection, null, 2)}\n` : text(inspection));
  } finally {
    await source.close();
  }
}

function text(inspection: Inspection): string {
  const { name, architecture, unsupported, parameters, formats, tensors, decoder } = inspection;
  const kinds = formats.map(
    (of) => `${of.dtype} (${of.tensors} tensor${of.tensors === 1 ? '' : 's'}, ${size(of.bytes)})`,
  );
  const lines: [string, string][] = [
    ['model', name],
    ['architecture', architecture + (unsupported === null ? '' : `, not supported: ${unsupported}`)],
    ...(decoder ? sizes(decoder) : []),
    ['parameters', `${(parameters / 1e6).toLocaleString('en', { maximumFractionDigits: 1 })} million`],
    ['stored as', kinds.join(', ')],
    ...conversions(formats),
  ];
  const width = Math.max(...tensors.map((tensor) => printable(tensor.name).length));
  const rows = tensors.map(
    (tensor) =>
      `  ${printable(tensor.name).padEnd(width)}  ${tensor.dtype.padEnd(6)}  ${size(tensor.byteLength).padStart(10)}  ${tensor.shape.join(' × ')}`,
  );
  return `${[...lines.map(([label, value]) => `${label.padEnd(14)}${value}`), 'tensors', ...rows].join('\n')}\n`;
}

/** What becomes of formats that no kernel reads as they are. */
function conversions(formats: Inspection['formats']): [string, string][] {
  const names: Readonly<Record<string, string>> = {
    Q5_0: 'Q5_0 is kept as Q8_0, with the same values',
    Q3_K: 'Q3_K is kept as Q6_K, with the same values',
    Q2_K: 'Q2_K is rounded to Q8_0',
    IQ4_XS: 'IQ4_XS is rounded to Q8_0',
  };
  const found = formats.flatMap(({ dtype }) => names[dtype] ?? []);
  return found.length > 0 ? [['when loaded', found.join('; ')]] : [];
}

function sizes({ weightBytes, kvBytesPerToken: kv, ...decoder }: DecoderSizes): [string, string][] {
  const { layers, hiddenSize, heads, kvHeads, headDim, vocabSize, maxPositions } = decoder;
  const context = Math.min(maxPositions, 4096);
  return [
    [
      'layers',
      `${layers}, hidden size ${hiddenSize}, ${heads} heads of ${headDim}, ${kvHeads} for keys and values, vocabulary ${vocabSize}`,
    ],
    ['context', `${maxPositions} tokens`],
    [
      'weights need',
      `${size(weightBytes.stored)} as stored, ${size(weightBytes.q8_0)} with --quantization q8_0, ${size(weightBytes.q4_0)} with q4_0`,
    ],
    [
      'K/V needs',
      `${size(kv.f32)} a token, ${size(kv.f32 * context)} for ${context} tokens; half with --kv-cache-dtype f16`,
    ],
  ];
}

/** Names come from files: nothing in them reaches the terminal but text. */
function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?');
}

function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(KIBIBYTE)));
  return `${Number((bytes / KIBIBYTE ** power).toFixed(2))} ${UNITS[power]}`;
}
