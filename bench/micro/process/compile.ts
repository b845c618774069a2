/** A policy of many rules: compiled for the first time in a process, as after an edit, and put into the engine. */
import { ReloadMode } from '../../../src/dataplane/engine/engine.ts';
import { Matcher } from '../../../src/dataplane/match/matcher.ts';
import { rulesOf } from '../../net/policy.ts';
import { Firewall, compile, templatesOf } from './firewall.ts';
import { cpuNs } from './meter.ts';

/** Times in ns. */
export interface Compilation {
  readonly compile: number;
  readonly swap: number;
}

export function measureCompile(rules: number): Compilation {
  const firewall = new Firewall({ capacity: 1 << 18 });
  const templates = templatesOf(rulesOf(rules));
  const start = cpuNs();
  const { words } = compile(templates, 2);
  const compiled = cpuNs();
  firewall.engine.setPolicy(new Matcher(words), ReloadMode.cut, 0);
  return { compile: compiled - start, swap: cpuNs() - compiled };
}
