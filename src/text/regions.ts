/** In which regions the gateways of a server are, in words: for the command line and the panel. */

interface GatewayPlace {
  readonly name: string;
  readonly region?: string;
  readonly state: string;
}

/**
 * A server that has a region is behind the gateways of that region; one without may be behind any.
 *
 * @returns one entry a region, as `hkg: gw-1, gw-2 (stopped)`; those without a region last
 */
export function gatewayRegions(
  region: string | undefined,
  gateways: readonly GatewayPlace[],
): string[] {
  const places = new Map<string, string[]>(region === undefined ? [] : [[region, []]]);
  for (const each of gateways) {
    if (region !== undefined && each.region !== region) continue;
    const name = each.state === 'stopped' ? `${each.name} (stopped)` : each.name;
    const place = each.region ?? '';
    places.set(place, [...(places.get(place) ?? []), name]);
  }
  return [...places]
    .sort(([a], [b]) => Number(a === '') - Number(b === '') || (a < b ? -1 : 1))
    .map(([place, names]) => {
      const list = names.length === 0 ? 'no gateway' : names.join(', ');
      return `${place === '' ? 'no region' : place}: ${list}`;
    });
}

/** Who a gateway is: `gw-1, region hkg`. Empty: gateway.yaml says neither. */
export function whichGateway({
  name,
  region,
}: {
  readonly name?: string | undefined;
  readonly region?: string | undefined;
}): string {
  const parts = [name, region === undefined ? undefined : `region ${region}`];
  return parts.filter((each) => each !== undefined).join(', ');
}
