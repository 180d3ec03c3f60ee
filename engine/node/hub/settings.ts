/**
 * What the environment says about the Hugging Face hub. The names and defaults are those of `huggingface_hub`
 * (docs/source/en/package_reference/environment_variables.md), so that both use one cache. Node only.
 */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

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

type Environment = Readonly<Record<string, string | undefined>>;

export function hubSettings(environment: Environment): HubSettings {
  const home = homedir();
  const path = (name: string) => environment[name]?.replace(/^~(?=\/|$)/, home) || undefined;
  const hfHome = path('HF_HOME') ?? join(path('XDG_CACHE_HOME') ?? join(home, '.cache'), 'huggingface');
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
