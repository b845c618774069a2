/** Pre-defined rule sets: each is a valid template, and what the service's page promises is there. */
import { stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { presetCategories, presets } from '../../../src/policy/presets.ts';
import type { Preset } from '../../../src/policy/presets.ts';
import { toTemplateBody } from '../../../src/policy/template-body.ts';
import type { TemplateBody } from '../../../src/policy/template-body.ts';
import type { Template } from '../../../src/policy/types.ts';
import { namePattern, validateTemplate } from '../../../src/policy/validate.ts';

const bodyOf = ({ description, inbound, outbound }: Preset): TemplateBody => ({
  description,
  inbound,
  outbound,
});

/** As a template file says it. */
function read(preset: Preset): Template {
  const { value, problems } = validateTemplate(
    preset.name,
    `${preset.name}.yaml`,
    stringify(bodyOf(preset), { aliasDuplicateObjects: false }),
  );
  expect(problems).toEqual([]);
  return value!;
}

describe('pre-defined rule sets', () => {
  it.each(presets.map((preset) => [preset.name, preset] as const))(
    '%s is a valid template with a name, a title and a sentence',
    (name, preset) => {
      const template = read(preset);
      expect(name).toMatch(namePattern);
      expect(template.inbound.length + template.outbound.length).toBeGreaterThan(0);
      expect(toTemplateBody(template)).toEqual(bodyOf(preset));
      expect(preset.title).not.toBe('');
      expect(preset.description).toMatch(/^[A-Z].*\.$/s);
    },
  );

  it('have names of their own, and every category has some', () => {
    expect(new Set(presets.map(({ name }) => name)).size).toBe(presets.length);
    expect(new Set(presets.map(({ title }) => title)).size).toBe(presets.length);
    expect([...new Set(presets.map(({ category }) => category))]).toEqual(presetCategories);
  });

  /** What clients connect to, by IANA's registry. */
  it.each([
    ['ftp', 'tcp 21'],
    ['ssh', 'tcp 22'],
    ['telnet', 'tcp 23'],
    ['smtp', 'tcp 25'],
    ['smtps', 'tcp 465', 'tcp 587'],
    ['dns', 'udp 53', 'tcp 53'],
    ['dhcp', 'udp 67'],
    ['tftp', 'udp 69'],
    ['http', 'tcp 80'],
    ['https', 'tcp 443', 'udp 443'],
    ['pop3', 'tcp 110'],
    ['pop3s', 'tcp 995'],
    ['nntp', 'tcp 119'],
    ['ntp', 'udp 123'],
    ['netbios', 'udp 137', 'udp 138', 'tcp 139', 'tcp 445'],
    ['imap', 'tcp 143'],
    ['imaps', 'tcp 993'],
    ['snmp', 'udp 161'],
    ['ldap', 'tcp 389'],
    ['ldaps', 'tcp 636'],
    ['rdp', 'tcp 3389'],
    ['mysql', 'tcp 3306'],
    ['postgresql', 'tcp 5432'],
    ['redis', 'tcp 6379'],
    ['ping', 'icmp 0'],
    ['web-server', 'tcp 80', 'tcp 443', 'icmp 0'],
    ['mail-server', 'tcp 25', 'tcp 465', 'tcp 587', 'tcp 993', 'tcp 995'],
    ['database-server', 'tcp 3306', 'tcp 5432'],
    ['dns-server', 'udp 53', 'tcp 53'],
    ['allow-all-inbound', 'tcp 1', 'udp 65535', 'icmp 0'],
  ])('%s lets in %s', (name, ...wanted) => {
    const { inbound } = read(presets.find((preset) => preset.name === name)!);
    for (const each of wanted) {
      const [protocol, port] = each.split(' ');
      const found = inbound.some(
        (rule) =>
          (rule.protocol === 'all' || rule.protocol === protocol) &&
          (rule.ports?.some(({ from, to }) => from <= Number(port) && Number(port) <= to) ?? true),
      );
      expect(found, each).toBe(true);
    }
  });

  it('publish no database, directory or clear-text console to the world', () => {
    const careful = ['telnet', 'rdp', 'snmp', 'netbios', 'tftp', 'dhcp', 'ldap', 'ldaps'];
    const guarded = [...careful, 'mysql', 'postgresql', 'redis', 'database-server'];
    for (const name of guarded) {
      const rules = read(presets.find((preset) => preset.name === name)!).inbound;
      for (const { protocol, peers } of rules) {
        if (protocol !== 'icmp') expect(peers?.map(({ text }) => text)).toContain('10.0.0.0/8');
      }
    }
  });

  it('allow all outbound is just that', () => {
    const all = presets.find(({ name }) => name === 'allow-all-outbound')!;
    expect(bodyOf(all)).toMatchObject({ inbound: [], outbound: [{ protocol: 'all' }] });
  });
});
