/** Random policies with groups: labels, sets, templates that apply, exceptions, rules that are off or have an end. */
import { isGroup, parsePeer } from '../../src/policy/peers.ts';
import { parseSelector } from '../../src/policy/selector.ts';
import type {
  AddressRange,
  AddressSet,
  Peer,
  Rule,
  Selector,
  Template,
} from '../../src/policy/types.ts';
import type { PolicyMaker, RandomPolicy } from './random-policy.ts';

export interface GroupPolicy extends RandomPolicy {
  readonly sets: AddressSet[];
}

const selectors = ['role=web', 'role!=web', '!env', 'env in (a,b)', 'region=hkg', 'role=db,env'];
const setNames = ['near', 'far'];

/** The same templates and servers, with groups among what they say. */
export function withGroups({ templates, servers }: RandomPolicy, maker: PolicyMaker): GroupPolicy {
  const ranges = (): AddressRange[] =>
    [0, 1]
      .flatMap(() => maker.rule().peers ?? [])
      .filter((peer): peer is AddressRange => !isGroup(peer));
  const sets = setNames.map((name, index) => ({
    name,
    addresses: ranges(),
    except: maker.chance(0.3) ? ranges() : [],
    include: setNames.slice(index + 1).filter(() => maker.chance(0.5)),
  }));
  const texts = [
    ...selectors.map((selector) => `label:${selector}`),
    ...setNames.map((name) => `set:${name}`),
    ...servers.map(({ name }) => `server:${name}`),
    ...templates.map(({ name }) => `template:${name}`),
  ];
  const group = (): Peer => valueOf(parsePeer(maker.pick(texts)));
  const selector = (): Selector => valueOf(parseSelector(maker.pick(selectors)));
  const changed = (rule: Rule): Rule => ({
    ...rule,
    ...(maker.chance(0.6) && { peers: [...(rule.peers ?? []).slice(1), group()] }),
    ...(maker.chance(0.2) && { except: [group()] }),
    ...(maker.chance(0.1) && { enabled: false }),
    ...(maker.chance(0.2) && { expires: maker.pick([past, future]) }),
  });
  return {
    templates: templates.map((template): Template => ({
      ...template,
      ...(maker.chance(0.4) && { appliesTo: [selector(), selector()] }),
      inbound: template.inbound.map(changed),
      outbound: template.outbound.map(changed),
    })),
    servers: servers.map((server) => ({
      ...server,
      labels: {
        ...(maker.chance(0.8) && { role: maker.pick(['web', 'db']) }),
        ...(maker.chance(0.4) && { env: maker.pick(['a', 'b', 'c']) }),
      },
      ...(maker.chance(0.4) && { region: maker.pick(['hkg', 'sgp']) }),
    })),
    sets,
  };
}

const past = '2020-01-31T18:00:00Z';
const future = '2099-01-31T18:00:00+08:00';

function valueOf<T>(parsed: { readonly value: T } | { readonly message: string }): T {
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed.value;
}
