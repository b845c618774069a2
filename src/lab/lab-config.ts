/** The configuration of a lab's firewall: read from a directory or an object, judged, and written where the firewall reads it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { ConfigJudge } from '../control/store/config-judge.ts';
import { filesOf, placeOf } from '../control/store/config-texts.ts';
import type { ConfigFiles } from '../control/store/config-texts.ts';
import { ConfigReader } from '../control/store/files/config-directory.ts';
import { FirewallConfigError, filesWith } from '../testing/config-input.ts';
import type { FirewallConfig } from '../testing/config-input.ts';
import { LabError } from './lab-error.ts';

/** @throws FirewallConfigError with every error */
export function readConfig(config: string | FirewallConfig, before?: ConfigFiles): ConfigFiles {
  const files = typeof config === 'string' ? filesIn(config) : filesWith(config, before);
  const { problems } = new ConfigJudge('').judge(files);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new FirewallConfigError(errors);
  return files;
}

function filesIn(directory: string): ConfigFiles {
  const { raw, snapshot } = new ConfigReader(directory).read();
  if (raw !== undefined) return raw;
  throw new FirewallConfigError(snapshot.problems.filter(({ severity }) => severity === 'error'));
}

/** @throws LabError for a policy that lies in etcd */
export function writeConfig(directory: string, files: ConfigFiles, socket: string): void {
  const gateway = (parse(files.gateway?.text ?? '') ?? {}) as Record<string, unknown>;
  if (gateway['store'] !== undefined) {
    throw new LabError('gateway.yaml has a store', 'give the policy itself: store, without it');
  }
  const own = stringify({ ...gateway, api: { socket } });
  const texts = { ...Object.fromEntries(policyOf(files)), 'gateway.yaml': own };
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

/** All but gateway.yaml, by file name. */
export function policyOf(files: ConfigFiles): [string, string][] {
  return filesOf({ ...files, gateway: undefined }).flatMap(({ name, text }): [string, string][] =>
    text !== undefined && (name === 'servers.yaml' || placeOf(name) !== undefined)
      ? [[name, text]]
      : [],
  );
}
