/** What a suggested rule would admit beside what was seen, in sentences. */
import { counted, grouped } from './numbers.ts';

interface Also {
  readonly ports?: readonly string[];
  readonly addresses: readonly string[];
  readonly count: number;
}

/** Ports and addresses that are written out. */
const shown = 4;

/**
 * `also admits 3 addresses that were not seen: 10.0.0.4-10.0.0.6`; `… at ports 81, 83 …` where it is not so at all ports of the rule.
 *
 * @param ports of the rule, as it has them
 */
export function alsoText(
  { ports: own, addresses, count }: Also,
  ports: readonly (number | string)[] | undefined,
): string {
  const isAll = own === undefined || own.join() === ports?.join();
  const at = isAll
    ? ''
    : ` at ${own.length === 1 && !own[0]!.includes('-') ? 'port' : 'ports'} ${listText(own)}`;
  const whom = counted(count, 'address', 'addresses', grouped(count));
  const which = addresses.length > shown ? '' : `: ${addresses.join(', ')}`;
  return `also admits ${whom} that ${count === 1 ? 'was' : 'were'} not seen${at}${which}`;
}

function listText(list: readonly string[]): string {
  const more = list.length - shown;
  return more > 0 ? `${list.slice(0, shown).join(', ')} and ${more} more` : list.join(', ');
}
