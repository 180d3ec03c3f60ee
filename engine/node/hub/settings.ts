/**
 * What the environment says about the Hugging Face hub. The names and defaults are those of `huggingface_hub`
 * (docs/source/en/package_reference/environment_variables.md), so that both use one cache. Node only.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, type Environment, pathOf } from '../cache-folder.ts';

export interface HubSettings {
  /** Address of the hub, without a slash at its end. */
  readonly endpoint: string;
  /** The folder that holds `models--org--name` folders. */
  readonly cache: string;
  /** Sent to the hub's own address only. */
  readonly token: string | undefined;
  /** Nothing is asked of the hub; what is in the cache serves. */
  readonly offline: boolean;
}

export function hubSettings(environment: Environment): HubSettings {
  const path = (name: string) => pathOf(environment, name);
  const hfHome = path('HF_HOME') ?? join(cacheFolder(environment), 'huggingface');
  return {
    endpoint: (environment.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    cache: path('HF_HUB_CACHE') ?? path('HUGGINGFACE_HUB_CACHE') ?? join(hfHome, 'hub'),
    token: environment.HF_TOKEN?.trim() || tokenFile(path('HF_TOKEN_PATH') ?? join(hfHome, 'token')),
    offline: /^(1|true|yes|on)$/i.test(environment.HF_HUB_OFFLINE ?? ''),
  };
}

function tokenFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
