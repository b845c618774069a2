/** The configuration of a lab's firewall: read from a directory or an object, judged, and written where the firewall reads it. */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
  saveFiles(directory, [['gateway.yaml', own], ...policyOf(files)]);
}

/** A whole configuration, file by file as an editor would; templates and sets that are not among the files go. */
export function saveFiles(directory: string, files: readonly (readonly [string, string])[]): void {
  for (const [name, text] of files) {
    const file = join(directory, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.tmp`, text);
    renameSync(`${file}.tmp`, file);
  }
  const names = new Set(files.map(([name]) => name));
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (placeOf(name) !== undefined && !names.has(name)) rmSync(join(directory, name));
  }
}

/** All but gateway.yaml, by file name; what others name comes first. */
export function policyOf(files: ConfigFiles): [string, string][] {
  const policy = filesOf({ ...files, gateway: undefined }).toReversed();
  return policy.flatMap(({ name, text }): [string, string][] =>
    text !== undefined && (name === 'servers.yaml' || placeOf(name) !== undefined)
      ? [[name, text]]
      : [],
  );
}
