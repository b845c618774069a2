/**
 * Pre-defined rule sets: template bodies to begin with, as the service's page offers them.
 *
 * A preset is data, never referred to: what is made from it is an ordinary template that its owner edits. Those of one
 * service are named after it and let its clients in; those named `allow-…` and `…-server` are whole roles. Services that
 * do not belong on the open Internet (databases, SNMP, NetBIOS, TFTP, DHCP and the like) come with private sources
 * (RFC 1918), because a preset that is applied unread must not publish a database.
 */
import type { InboundRuleBody, OutboundRuleBody, TemplateBody } from './template-body.ts';
import type { RuleProtocol } from './types.ts';

export const presetCategories = [
  'administration',
  'web',
  'mail',
  'files',
  'network',
  'directory',
  'database',
  'basics',
  'server role',
] as const;

export type PresetCategory = (typeof presetCategories)[number];

export interface Preset extends TemplateBody {
  /** Also a good name for the template. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly category: PresetCategory;
}

const privateNetworks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
const narrow = 'From private networks only: set the sources to your own.';

type Ports = readonly (number | string)[];
type WithPorts = Extract<RuleProtocol, 'tcp' | 'udp'>;

const open = (protocol: WithPorts, ports: Ports, comment: string): InboundRuleBody => ({
  protocol,
  ports,
  comment,
});

const inside = (protocol: WithPorts, ports: Ports, comment: string): InboundRuleBody => ({
  protocol,
  ports,
  sources: privateNetworks,
  comment,
});

const ping: InboundRuleBody = { protocol: 'icmp', comment: 'Ping' };

/** What a server needs to resolve names, keep time and fetch updates. */
const upkeep: readonly OutboundRuleBody[] = [
  { protocol: 'udp', ports: [53, 123], comment: 'DNS and NTP' },
  { protocol: 'tcp', ports: [53, 80, 443], comment: 'DNS over TCP, updates' },
];

function service(
  category: PresetCategory,
  name: string,
  title: string,
  description: string,
  inbound: readonly InboundRuleBody[],
  outbound: readonly OutboundRuleBody[] = [],
): Preset {
  return { name, title, description, category, inbound, outbound };
}

const administration: readonly Preset[] = [
  service('administration', 'ssh', 'SSH', 'Secure Shell, SFTP and scp.', [
    open('tcp', [22], 'SSH'),
  ]),
  service(
    'administration',
    'telnet',
    'Telnet',
    `Telnet: passwords travel in clear text. ${narrow}`,
    [inside('tcp', [23], 'Telnet')],
  ),
  service('administration', 'rdp', 'RDP', `Remote Desktop of Windows. ${narrow}`, [
    inside('tcp', [3389], 'RDP'),
    inside('udp', [3389], 'RDP over UDP'),
  ]),
  service('administration', 'snmp', 'SNMP', `SNMP queries from a monitor. ${narrow}`, [
    inside('udp', [161], 'SNMP queries'),
  ]),
];

const web: readonly Preset[] = [
  service('web', 'http', 'HTTP', 'Web, unencrypted.', [open('tcp', [80], 'HTTP')]),
  service('web', 'https', 'HTTPS', 'Web with TLS, and HTTP/3 over UDP.', [
    open('tcp', [443], 'HTTPS'),
    open('udp', [443], 'HTTP/3'),
  ]),
];

const mail: readonly Preset[] = [
  service('mail', 'smtp', 'SMTP', 'Mail from other mail servers.', [open('tcp', [25], 'SMTP')]),
  service('mail', 'smtps', 'SMTPS', 'Mail from clients: TLS (465) and submission (587).', [
    open('tcp', [465, 587], 'SMTPS and submission'),
  ]),
  service('mail', 'pop3', 'POP3', 'Fetching mail; clear text unless STARTTLS is used.', [
    open('tcp', [110], 'POP3'),
  ]),
  service('mail', 'pop3s', 'POP3S', 'Fetching mail over TLS.', [open('tcp', [995], 'POP3S')]),
  service('mail', 'imap', 'IMAP', 'Reading mail; clear text unless STARTTLS is used.', [
    open('tcp', [143], 'IMAP'),
  ]),
  service('mail', 'imaps', 'IMAPS', 'Reading mail over TLS.', [open('tcp', [993], 'IMAPS')]),
  service('mail', 'nntp', 'NNTP', 'Usenet news, plain and over TLS (563).', [
    open('tcp', [119, 563], 'NNTP'),
  ]),
];

const files: readonly Preset[] = [
  service(
    'files',
    'ftp',
    'FTP',
    'FTP. The firewall does not read FTP commands, so data connections need rules of their own: ' +
      'active mode goes out from port 20 to any high port of the client; for passive mode set the ' +
      'range of ports in the FTP server to the one here (40000-40999).',
    [open('tcp', [21], 'FTP commands'), open('tcp', ['40000-40999'], 'FTP data, passive mode')],
    [{ protocol: 'tcp', ports: ['1024-65535'], comment: 'FTP data, active mode' }],
  ),
  service(
    'files',
    'tftp',
    'TFTP',
    `TFTP requests. The server answers from a new port, which the firewall takes for a new flow: the outbound rule lets it. ${narrow}`,
    [inside('udp', [69], 'TFTP requests')],
    [
      {
        protocol: 'udp',
        ports: ['1024-65535'],
        destinations: privateNetworks,
        comment: 'TFTP transfers',
      },
    ],
  ),
  service(
    'files',
    'netbios',
    'NetBIOS and SMB',
    `Windows names, datagrams, sessions and SMB. Broadcasts are not routed. ${narrow}`,
    [
      inside('udp', ['137-138'], 'NetBIOS names and datagrams'),
      inside('tcp', [139, 445], 'NetBIOS sessions and SMB'),
    ],
  ),
];

const network: readonly Preset[] = [
  service('network', 'dns', 'DNS', 'Name service for everyone.', [
    open('udp', [53], 'DNS'),
    open('tcp', [53], 'DNS over TCP'),
  ]),
  service(
    'network',
    'dhcp',
    'DHCP',
    `DHCP through a relay: a client's broadcasts are not routed and never come here. ${narrow}`,
    [inside('udp', [67], 'DHCP requests')],
    [
      {
        protocol: 'udp',
        ports: ['67-68'],
        destinations: privateNetworks,
        comment: 'DHCP answers to relays and clients',
      },
    ],
  ),
  service('network', 'ntp', 'NTP', 'Time service for everyone.', [open('udp', [123], 'NTP')]),
];

const directory: readonly Preset[] = [
  service('directory', 'ldap', 'LDAP', `Directory, unencrypted. ${narrow}`, [
    inside('tcp', [389], 'LDAP'),
    inside('udp', [389], 'Connectionless LDAP'),
  ]),
  service('directory', 'ldaps', 'LDAPS', `Directory over TLS. ${narrow}`, [
    inside('tcp', [636], 'LDAPS'),
  ]),
];

const database: readonly Preset[] = [
  service('database', 'mysql', 'MySQL', `MySQL and MariaDB. ${narrow}`, [
    inside('tcp', [3306], 'MySQL'),
  ]),
  service('database', 'postgresql', 'PostgreSQL', `PostgreSQL. ${narrow}`, [
    inside('tcp', [5432], 'PostgreSQL'),
  ]),
  service('database', 'redis', 'Redis', `Redis. ${narrow}`, [inside('tcp', [6379], 'Redis')]),
];

const basics: readonly Preset[] = [
  service(
    'basics',
    'ping',
    'Ping',
    'Echo and the other ICMP queries. ICMP errors of live flows need no rule.',
    [ping],
  ),
  service(
    'basics',
    'allow-all-outbound',
    'Allow all outbound',
    'The server may open any connection.',
    [],
    [{ protocol: 'all' }],
  ),
  service('basics', 'allow-all-inbound', 'Allow all inbound', 'Everyone may reach everything.', [
    { protocol: 'all' },
  ]),
  service(
    'basics',
    'upkeep',
    'Upkeep',
    'What a server needs itself: DNS, NTP, and updates over HTTP and HTTPS.',
    [],
    upkeep,
  ),
];

const roles: readonly Preset[] = [
  service(
    'server role',
    'web-server',
    'Web server',
    'HTTP, HTTPS and ping for everyone; names, time and updates outwards.',
    [open('tcp', [80, 443], 'HTTP and HTTPS'), open('udp', [443], 'HTTP/3'), ping],
    upkeep,
  ),
  service(
    'server role',
    'mail-server',
    'Mail server',
    'SMTP, submission, POP3S, IMAPS and ping for everyone; mail to other servers, names, time and updates outwards.',
    [
      open('tcp', [25, 465, 587], 'SMTP and submission'),
      open('tcp', [993, 995], 'IMAPS and POP3S'),
      ping,
    ],
    [{ protocol: 'tcp', ports: [25], comment: 'Mail to other servers' }, ...upkeep],
  ),
  service(
    'server role',
    'database-server',
    'Database server',
    `MySQL and PostgreSQL; names, time and updates outwards. ${narrow}`,
    [inside('tcp', [3306, 5432], 'MySQL and PostgreSQL'), ping],
    upkeep,
  ),
  service(
    'server role',
    'dns-server',
    'DNS server',
    'DNS and ping for everyone; queries to other name servers, time and updates outwards.',
    [open('udp', [53], 'DNS'), open('tcp', [53], 'DNS over TCP'), ping],
    upkeep,
  ),
];

/** In the order in which they are shown: by category, within it by what is asked for most. */
export const presets: readonly Preset[] = [
  ...administration,
  ...web,
  ...mail,
  ...files,
  ...network,
  ...directory,
  ...database,
  ...basics,
  ...roles,
];
