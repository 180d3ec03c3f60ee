/** Which layers attend to a sliding window, as config.json says it. */

import type { Fields } from '../checkpoint/fields.ts';

const WINDOW = { min: 1, max: 2 ** 31 };
const LAYER_INDEX = { min: 0, max: 2 ** 31 };

/**
 * How many positions a window has; undefined for no window, as null says it.
 * @param fallback  what the libraries that write these files take when `sliding_window` is not mentioned
 */
export function readWindow(fields: Fields, fallback: number | undefined): number | undefined {
  if (!fields.has('sliding_window')) return fields.mentions('sliding_window') ? undefined : fallback;
  return fields.integer('sliding_window', WINDOW);
}

/**
 * The window of each layer: of those that `layer_types` names, or by default those of which `slides` is true.
 * @param window  of the layers that have one
 */
export function readLayerWindows(
  fields: Fields,
  layers: number,
  { window, slides }: { readonly window: number | undefined; readonly slides: (layer: number) => boolean },
): readonly (number | undefined)[] {
  const types = readLayerTypes(fields, layers);
  if (window === undefined && types?.includes(true)) {
    fields.fail('layer_types', 'only full_attention while no sliding window is in use');
  }
  const sliding = types ?? Array.from({ length: layers }, (_, layer) => slides(layer));
  return sliding.map((inWindow) => (inWindow ? window : undefined));
}

/**
 * The Qwen family's rule: `use_sliding_window` switches windows on, for the layers that `layer_types` names or else for
 * those from `max_window_layers` on.
 */
export function readQwenWindows(fields: Fields, layers: number): readonly (number | undefined)[] {
  const window = fields.boolean('use_sliding_window', false) ? readWindow(fields, 4096) : undefined;
  const first = fields.integer('max_window_layers', LAYER_INDEX, 28);
  return readLayerWindows(fields, layers, { window, slides: (layer) => layer >= first });
}

/** For each layer whether `layer_types` gives it a sliding window; undefined when absent. */
function readLayerTypes(fields: Fields, layers: number): readonly boolean[] | undefined {
  return fields.strings('layer_types', layers)?.map((type) => {
    if (type !== 'sliding_attention' && type !== 'full_attention') {
      fields.fail('layer_types', 'sliding_attention or full_attention for each layer');
    }
    return type === 'sliding_attention';
  });
}
