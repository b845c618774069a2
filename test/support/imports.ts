/** What an import of another firewall's rules gave, as its tests compare it. */
import { expect } from 'vitest';
import type { ImportResult } from '../../src/interop/rules/import-result.ts';
import { importedText } from '../../src/cli/import-target.ts';
import { isGroup } from '../../src/policy/peers.ts';
import type { Template } from '../../src/policy/types.ts';
import { validateTemplate } from '../../src/policy/validate.ts';

/** The remarks, a line each. */
export function reported({ remarks }: ImportResult): string[] {
  return remarks.map(({ severity, place, message }) => `${severity} ${place}: ${message}`);
}

/** Templates as the firewall would read them. */
export function read({ templates }: ImportResult): Template[] {
  return templates.map((template) => {
    const { value, problems } = validateTemplate(template.name, 'f', importedText(template));
    expect(problems).toEqual([]);
    return value!;
  });
}

/** Names of the templates of FORWARD rules that a server with this address gets, as their descriptions say. */
export function assignedTo(templates: readonly Template[], address: number): string[] {
  return templates
    .filter(({ description }) => {
      const blocks = /addresses in (.*), and no others$/.exec(description!)?.[1];
      if (blocks === undefined) return true;
      // A block is read as the validator reads one.
      const text = `inbound: [{ protocol: all, sources: [${blocks}] }]`;
      const { peers } = validateTemplate('t', 't', text).value!.inbound[0]!;
      return peers!.some((peer) => !isGroup(peer) && peer.from <= address && address <= peer.to);
    })
    .map(({ name }) => name);
}
