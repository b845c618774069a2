/** What configuration files may say, and every error message with its place. */
import { describe, expect, it } from 'vitest';
import { defaultTimeoutSeconds } from '../../../src/dataplane/flow/timeouts.ts';
import type { Problem, Rule } from '../../../src/policy/types.ts';
import { defaultGatewayConfig, validateGateway } from '../../../src/policy/validate-gateway.ts';
import { validateServers, validateTemplate } from '../../../src/policy/validate.ts';

/** `line:column path: message`, as the user reads it. */
const reported = (problems: readonly Problem[]): string[] =>
  problems.map(({ line, column, path, message }) =>
    [`${line}:${column}`, ...(path === '' ? [] : [path]), message].join(' '),
  );

const template = (text: string): string[] =>
  reported(validateTemplate('web', 'web.yaml', text).problems);
const inboundRule = (rule: string): string[] => template(`inbound:\n  - ${rule}\n`);
const servers = (text: string): string[] =>
  reported(validateServers('servers.yaml', text, new Set(['web', 'ssh'])).problems);
const gateway = (text: string): string[] =>
  reported(validateGateway('gateway.yaml', text).problems);

const nameWords =
  'a name of 1 to 63 characters a-z, 0-9, dot, hyphen and underscore that begins with a letter or digit';
const portWords = 'expected a port from 1 to 65535 or a range like "8000-8100"';
const peerWords =
  'expected an address, a block (10.0.0.0/8), a range (192.0.2.10-192.0.2.20) or any';

describe('a rule', () => {
  const any = { from: 0, to: 0xffffffff, text: 'any' };
  const forms: [string, Rule][] = [
    ['{ protocol: all }', { protocol: 'all' }],
    ['{ protocol: tcp }', { protocol: 'tcp' }],
    ['{ protocol: icmp, comment: ping }', { protocol: 'icmp', comment: 'ping' }],
    ['{ protocol: tcp, ports: [443] }', { protocol: 'tcp', ports: [{ from: 443, to: 443 }] }],
    ['{ protocol: tcp, ports: [20-22] }', { protocol: 'tcp', ports: [{ from: 20, to: 22 }] }],
    [
      '{ protocol: udp, ports: [1, "53", " 60 - 70 ", 65535] }',
      {
        protocol: 'udp',
        ports: [
          { from: 1, to: 1 },
          { from: 53, to: 53 },
          { from: 60, to: 70 },
          { from: 65_535, to: 65_535 },
        ],
      },
    ],
    ['{ protocol: all, sources: [any] }', { protocol: 'all', peers: [any] }],
    ['{ protocol: all, sources: any }', { protocol: 'all', peers: [any] }],
    ['{ protocol: tcp, ports: 443 }', { protocol: 'tcp', ports: [{ from: 443, to: 443 }] }],
    ['{ protocol: tcp, ports: 20-22 }', { protocol: 'tcp', ports: [{ from: 20, to: 22 }] }],
    [
      '{ protocol: all, sources: [192.0.2.7, 10.0.0.0/8, 0.0.0.0/0, 198.51.100.10-198.51.100.20] }',
      {
        protocol: 'all',
        peers: [
          { from: 0xc0000207, to: 0xc0000207, text: '192.0.2.7' },
          { from: 0x0a000000, to: 0x0affffff, text: '10.0.0.0/8' },
          { from: 0, to: 0xffffffff, text: '0.0.0.0/0' },
          { from: 0xc633640a, to: 0xc6336414, text: '198.51.100.10-198.51.100.20' },
        ],
      },
    ],
  ];
  it.each(forms)('%s', (text, rule) => {
    const { value, problems } = validateTemplate('web', 'web.yaml', `inbound:\n  - ${text}\n`);
    expect(reported(problems)).toEqual([]);
    expect(value!.inbound).toEqual([rule]);
  });

  const mistakes: [string, string][] = [
    ['{ }', '2:5 inbound[0] the key "protocol" is missing'],
    [
      '{ protocol: icmp, comment: "a\\e[2Jb" }',
      '2:32 inbound[0].comment expected a text without control characters, found \\u001b',
    ],
    [
      '{ protocol: icmp, comment: "a\\nb" }',
      '2:32 inbound[0].comment expected a text without control characters, found \\n',
    ],
    [
      '{ protocol: icmp, comment: "\u202eb" }',
      '2:32 inbound[0].comment expected a text without control characters, found \\u202e',
    ],
    [
      '{ protocol: tpc }',
      '2:17 inbound[0].protocol expected all, icmp, tcp or udp, found "tpc"; did you mean "tcp"?',
    ],
    ['{ protocol: 6 }', '2:17 inbound[0].protocol expected all, icmp, tcp or udp, found 6'],
    [
      '{ protocol: tcp, ports: [] }',
      '2:29 inbound[0].ports expected at least one port: leave the key out to mean all ports',
    ],
    [
      '{ protocol: tcp, ports: {} }',
      '2:29 inbound[0].ports expected a list of ports, found a mapping',
    ],
    ['{ protocol: tcp, ports: 0 }', `2:29 inbound[0].ports ${portWords}, found "0"`],
    ['{ protocol: tcp, ports: [0] }', `2:30 inbound[0].ports[0] ${portWords}, found "0"`],
    ['{ protocol: tcp, ports: [65536] }', `2:30 inbound[0].ports[0] ${portWords}, found "65536"`],
    ['{ protocol: tcp, ports: ["20-"] }', `2:30 inbound[0].ports[0] ${portWords}, found "20-"`],
    [
      '{ protocol: tcp, ports: [22-20] }',
      '2:30 inbound[0].ports[0] the range "22-20" ends before it begins',
    ],
    ['{ protocol: tcp, ports: [http] }', `2:30 inbound[0].ports[0] ${portWords}, found "http"`],
    ['{ protocol: tcp, ports: [80.5] }', `2:30 inbound[0].ports[0] ${portWords}, found 80.5`],
    [
      '{ protocol: tcp, ports: [{ from: 1 }] }',
      '2:30 inbound[0].ports[0] expected a port or a range of ports, found a mapping',
    ],
    [
      '{ protocol: icmp, ports: [80] }',
      '2:23 inbound[0].ports only tcp and udp have ports, this rule is for icmp',
    ],
    [
      '{ protocol: tcp, sources: [] }',
      '2:31 inbound[0].sources expected at least one address: leave the key out, or write any, to mean all',
    ],
    [
      '{ protocol: tcp, sources: [10.0.0.256] }',
      `2:32 inbound[0].sources[0] "10.0.0.256" is not an IPv4 address in four decimal parts; ${peerWords}`,
    ],
    [
      '{ protocol: tcp, sources: [010.0.0.1] }',
      `2:32 inbound[0].sources[0] "010.0.0.1" is not an IPv4 address in four decimal parts; ${peerWords}`,
    ],
    [
      '{ protocol: tcp, sources: [10.0.0.1/33] }',
      '2:32 inbound[0].sources[0] "10.0.0.1/33" is not a block: the length behind the slash is 0 to 32',
    ],
    [
      '{ protocol: tcp, sources: [10.0.0.1/24] }',
      '2:32 inbound[0].sources[0] "10.0.0.1/24" has bits set behind its length: write 10.0.0.0/24 for the block, or 10.0.0.1 for the address',
    ],
    [
      '{ protocol: tcp, sources: [10.0.0.9-10.0.0.1] }',
      '2:32 inbound[0].sources[0] the range "10.0.0.9-10.0.0.1" ends before it begins',
    ],
    [
      '{ protocol: tcp, sources: [10.0.0.1-20] }',
      '2:32 inbound[0].sources[0] "20" is not an IPv4 address in four decimal parts',
    ],
    [
      '{ protocol: tcp, sources: ["2001:db8::/32"] }',
      '2:32 inbound[0].sources[0] "2001:db8::/32" is an IPv6 address: the firewall is IPv4 only',
    ],
    [
      '{ protocol: tcp, sources: 10.0.0.1-20 }',
      '2:31 inbound[0].sources "20" is not an IPv4 address in four decimal parts',
    ],
    [
      '{ protocol: tcp, destinations: [any] }',
      '2:22 inbound[0].destinations an inbound rule has sources, not destinations',
    ],
    [
      '{ protocol: tcp, port: [80] }',
      '2:22 inbound[0].port unknown key "port"; did you mean "ports"? (known: protocol, ports, sources, destinations, except, enabled, expires, log, comment)',
    ],
    ['{ protocol: tcp, 5: 6 }', '2:22 inbound[0] expected a name as key, found 5'],
    ['tcp', '2:5 inbound[0] expected a rule, found "tcp"'],
  ];
  it.each(mistakes)('%s is refused', (text, message) => {
    expect(inboundRule(text)).toEqual([message]);
  });
});

describe('a template', () => {
  const mistakes: [string, string][] = [
    ['inbound: {}', '1:10 inbound expected a list of rules, found a mapping'],
    ['inbound:', '1:9 inbound expected a list of rules, found nothing'],
    [
      'rules: []',
      '1:1 rules unknown key "rules" (known: description, appliesTo, inbound, outbound)',
    ],
    ['- a', '1:1 expected a template with the keys inbound and outbound, found a list'],
    ['description: 5', '1:14 description expected a text, found 5'],
    [
      'description: "a\\x9bb"',
      '1:14 description expected a text without control characters, found \\u009b',
    ],
    [
      'outbound: [{ protocol: tcp, sources: [any] }]',
      '1:29 outbound[0].sources an outbound rule has destinations, not sources',
    ],
    [
      'inbound: [',
      '1:11 not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['\tinbound: []', '1:1 not valid YAML: Tabs are not allowed as indentation'],
    ['inbound: []\n---\noutbound: []', '2:1 not valid YAML: expected one document in a file'],
    ['inbound: []\ninbound: []', '2:1 not valid YAML: Map keys must be unique'],
    ['inbound: *rules', '1:10 inbound an alias that leads nowhere, or too many of them'],
  ];
  it.each(mistakes)('%j is refused', (text, message) => {
    expect(template(text)).toEqual([message]);
  });

  it('that is empty allows nothing', () => {
    for (const text of ['', '# nothing yet\n', '{}', '---\n', '~']) {
      const { value, problems } = validateTemplate('web', 'web.yaml', text);
      expect(problems).toEqual([]);
      expect(value).toEqual({ name: 'web', inbound: [], outbound: [] });
    }
  });

  it('may have anchors, Windows line ends and a byte order mark', () => {
    const text = [
      '\ufeffinbound:',
      '  - { protocol: tcp, sources: &office [192.0.2.7] }',
      '  - { protocol: udp, sources: *office }',
    ].join('\r\n');
    const { value, problems } = validateTemplate('web', 'web.yaml', text);
    expect(problems).toEqual([]);
    expect(value!.inbound[1]!.peers).toEqual(value!.inbound[0]!.peers);
  });

  it('cannot be made huge by aliases of aliases', () => {
    const ports = `[${Array.from({ length: 200 }, () => '*p').join(', ')}]`;
    const text = `inbound:\n  - { protocol: tcp, ports: [&p 80] }\n  - { protocol: tcp, ports: ${ports} }\n`;
    expect(template(text)[0]).toContain('an alias that leads nowhere, or too many of them');
  });

  it.each(['Web', '-web', 'we b', 'ü', 'x'.repeat(64), ''])('cannot be called %j', (name) => {
    const { problems } = validateTemplate(name, 'file.yaml', '');
    expect(reported(problems)).toEqual([
      `1:1 "${name}" cannot be a template's name: expected ${nameWords}`,
    ]);
  });

  it('reports all errors at once, in order', () => {
    const text = 'inbound:\n  - { protocol: tcp, ports: [0, 70000] }\noutbound:\n  - { port: 1 }\n';
    expect(template(text).map((line) => line.split(' ')[0])).toEqual([
      '2:30',
      '2:33',
      '4:7',
      '4:5',
    ]);
  });
});

describe('servers.yaml', () => {
  it('with everything', () => {
    const text = `servers:
  - { name: web-1, addresses: [10.0.0.2, 10.0.1.2], templates: [web, ssh], region: hk, labels: { env: live } }
  - { name: db, addresses: [10.0.0.3] }
`;
    const { value, problems } = validateServers('servers.yaml', text, new Set(['web', 'ssh']));
    expect(problems).toEqual([]);
    expect(value).toEqual([
      {
        name: 'web-1',
        addresses: [0x0a000002, 0x0a000102],
        templates: ['web', 'ssh'],
        region: 'hk',
        labels: { env: 'live' },
      },
      { name: 'db', addresses: [0x0a000003], templates: [] },
    ]);
  });

  const a = { name: 'a', addresses: [0x0a000001], templates: [] };
  const forms: [string, object][] = [
    ['{ name: a, addresses: 10.0.0.1 }', a],
    ['{ name: a, addresses: 10.0.0.1, templates: web }', { ...a, templates: ['web'] }],
    ['{ name: a, addresses: [10.0.0.1], templates: web }', { ...a, templates: ['web'] }],
    ['{ name: a, addresses: 10.0.0.1, templates: [] }', a],
  ];
  it.each(forms)('%s', (text, server) => {
    const { value, problems } = validateServers(
      'servers.yaml',
      `servers: [${text}]`,
      new Set(['web']),
    );
    expect(reported(problems)).toEqual([]);
    expect(value).toEqual([server]);
  });

  const mistakes: [string, ...string[]][] = [
    ['{ name: a }', 'servers[0] the key "addresses" is missing'],
    ['{ addresses: [10.0.0.1] }', 'servers[0] the key "name" is missing'],
    ['{ name: A, addresses: [10.0.0.1] }', `servers[0].name expected ${nameWords}, found "A"`],
    ['{ name: a, addresses: [] }', 'servers[0].addresses expected at least one address'],
    [
      '{ name: a, addresses: [10.0.0.0/24] }',
      'servers[0].addresses[0] expected one address, found "10.0.0.0/24": write each address of a server by itself',
    ],
    [
      '{ name: a, addresses: [127.0.0.1, 0.0.0.1, 224.0.0.1, 255.255.255.255] }',
      ...['127.0.0.1', '0.0.0.1', '224.0.0.1', '255.255.255.255'].map(
        (each, index) =>
          `servers[0].addresses[${index}] "${each}" cannot be the address of a server`,
      ),
    ],
    [
      '{ name: a, addresses: 10.0.0.256 }',
      'servers[0].addresses "10.0.0.256" is not an IPv4 address in four decimal parts',
    ],
    [
      '{ name: a, addresses: 10.0.0.1, templates: wbe }',
      'servers[0].templates there is no template "wbe"; did you mean "web"?',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], templates: [wbe] }',
      'servers[0].templates[0] there is no template "wbe"; did you mean "web"?',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], templates: [database] }',
      'servers[0].templates[0] there is no template "database": expected a file templates/database.yaml',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], templates: [web, web] }',
      'servers[0].templates the template "web" is listed twice',
    ],
    [
      '{ name: a, addresses: [10.0.0.1] }, { name: a, addresses: [10.0.0.1] }',
      'servers[1].name "a" is the name of servers[0] already',
      "servers[1].addresses[0] this address is server a's already",
    ],
    [
      '{ name: a, addresses: [10.0.0.1], labels: { x: 5 } }',
      'servers[0].labels.x expected a text, found 5',
    ],
    ['{ name: a, addresses: [10.0.0.1], region: 5 }', 'servers[0].region expected a text, found 5'],
    [
      '{ name: a, addresses: [10.0.0.1], reject: { inbound: 5 } }',
      'servers[0].reject.inbound expected true or false, found 5',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], reject: true }',
      'servers[0].reject expected a mapping with the keys inbound and outbound, found true',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], region: "h\\x7fkg" }',
      'servers[0].region expected a text without control characters, found \\u007f',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], labels: { x: "\\t" } }',
      'servers[0].labels.x expected a text without control characters, found \\t',
    ],
    [
      '{ name: a, addresses: [10.0.0.1], labels: { "x\\e": y } }',
      'servers[0].labels.x\u001b expected a label without \\u001b',
    ],
  ];
  it.each(mistakes)('%s is refused', (text, ...messages) => {
    const withoutPlaces = servers(`servers: [${text}]`).map((line) => line.replace(/^\S+ /, ''));
    expect(withoutPlaces).toEqual(messages);
  });
});

describe('gateway.yaml', () => {
  it('has a default for everything', () => {
    for (const text of ['', '{}', '# all defaults']) {
      expect(validateGateway('gateway.yaml', text)).toEqual({
        value: defaultGatewayConfig,
        problems: [],
      });
    }
  });

  it('changes what it names, and only that', () => {
    const text = `
device: tun9
queues: 2
offload: off
ioUring: off
flows: { capacity: 4096 }
timeouts: { udp: 5 }
tcp: { liberal: true }
reload: { drain: 30 }
api: { listen: "0.0.0.0:80", hosts: [FW.example.com], socket: /tmp/fw.sock, tls: { cert: /c, key: /k }, trustedProxies: 10.0.0.1 }
metrics: { listen: "10.0.0.1:9100", allow: [10.0.0.0/8] }
log: { dropsPerSecond: 0, flows: { file: /var/log/f.log, of: rules } }
`;
    const { value, problems } = validateGateway('gateway.yaml', text);
    expect(problems).toEqual([]);
    expect(value).toEqual({
      ...defaultGatewayConfig,
      device: 'tun9',
      queues: 2,
      offload: 'off',
      ioUring: 'off',
      flows: { ...defaultGatewayConfig.flows, capacity: 4096 },
      timeouts: { ...defaultGatewayConfig.timeouts, udp: 5 },
      tcp: { loose: false, liberal: true },
      reload: { drain: 30 },
      api: {
        ...{ host: '0.0.0.0', port: 80, hosts: ['fw.example.com'], socket: '/tmp/fw.sock' },
        ...{ tls: { cert: '/c', key: '/k' }, insecure: false },
        trustedProxies: [{ from: 0x0a000001, to: 0x0a000001, text: '10.0.0.1' }],
      },
      metrics: {
        listen: { host: '10.0.0.1', port: 9100 },
        allow: [{ from: 0x0a000000, to: 0x0affffff, text: '10.0.0.0/8' }],
      },
      log: {
        level: 'info',
        dropsPerSecond: 0,
        flows: { file: '/var/log/f.log', of: 'rules', maxSize: 104_857_600, keep: 5 },
      },
    });
  });

  const bounds: [string, number, number][] = [
    ['queues: N', 1, 16],
    ['txQueueLength: N', 100, 100_000],
    ['flows: { capacity: N }', 1024, 4_194_304],
    ['flows: { perServerShare: N }', 0.01, 1],
    ['fragments: { memory: N }', 131_072, 268_435_456],
    ['log: { flows: { file: /f, maxSize: N } }', 65_536, 2 ** 40],
    ['log: { flows: { file: /f, keep: N } }', 0, 1000],
    ...Object.keys(defaultTimeoutSeconds).map((each): [string, number, number] => [
      `timeouts: { ${each}: N }`,
      1,
      1_728_000,
    ]),
    ['reload: { drain: N }', 1, 86_400],
    ['log: { dropsPerSecond: N }', 0, 10_000],
  ];
  it.each(bounds)('%s goes from %d to %d', (text, min, max) => {
    const problems = (value: unknown): string[] => gateway(text.replace('N', String(value)));
    expect(problems(min)).toEqual([]);
    expect(problems(max)).toEqual([]);
    for (const wrong of [min - 1, max + 1, '"1"', 'yes', '.nan', '.inf', '[1]']) {
      expect(problems(wrong).join('\n'), `${wrong}`).toMatch(
        new RegExp(`expected (a (whole )?number|cut, keep).*found`),
      );
    }
  });

  const mistakes: [string, string][] = [
    [
      'device: sixteen-letters-x',
      '1:9 device expected the name of an interface, at most 15 characters, found "sixteen-letters-x"',
    ],
    ['offload: on', '1:10 offload expected auto or off, found "on"; did you mean "off"?'],
    ['flows: 5', '1:8 flows expected limits of the flow table, found 5'],
    ['tcp: { loose: yes }', '1:15 tcp.loose expected true or false, found "yes"'],
    ['reload: now', '1:9 reload expected cut, keep or { drain: SECONDS }, found "now"'],
    [
      'api: { listen: "localhost:8740" }',
      '1:16 api.listen expected an IPv4 address and a port like 127.0.0.1:8740, found "localhost:8740"',
    ],
    [
      'api: { listen: "127.0.0.1:65536" }',
      '1:16 api.listen expected an IPv4 address and a port like 127.0.0.1:8740, found "127.0.0.1:65536"',
    ],
    [
      'api: { listen: "10.0.0.1:8740" }',
      '1:16 api.listen passwords would go over the network of 10.0.0.1 in the clear: name a certificate in api.tls, or write insecure: true if the network is trusted',
    ],
    ['api: { tls: { cert: /c } }', '1:13 api.tls the key "key" is missing'],
    [
      'metrics: { allow: [localhost] }',
      `1:20 metrics.allow[0] "localhost" is not an IPv4 address in four decimal parts; ${peerWords}`,
    ],
    [
      'api: { hosts: ["fw.example.com:80"] }',
      '1:16 api.hosts[0] expected a host name like fw.example.com, found "fw.example.com:80"',
    ],
    [
      'api: { socket: run/fw.sock }',
      '1:16 api.socket expected an absolute path of at most 107 bytes, found "run/fw.sock"',
    ],
    [
      'log: { level: loud }',
      '1:15 log.level expected trace, debug, info, warn, error, fatal or silent, found "loud"',
    ],
  ];
  it.each(mistakes)('%s is refused', (text, message) => {
    expect(gateway(text)).toEqual([message]);
  });

  it.each(['{ listen: "10.0.0.1:8740", insecure: true }', '{ listen: "127.0.0.2:8740" }'])(
    'api: %s is accepted',
    (text) => expect(gateway(`api: ${text}`)).toEqual([]),
  );

  it('knows its keys', () => {
    expect(gateway('colour: red')[0]).toContain('unknown key "colour"');
    expect(gateway('timeouts: { udpp: 3 }')[0]).toContain('did you mean "udp"?');
  });
});
