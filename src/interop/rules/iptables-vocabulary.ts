/**
 * The options of iptables: how many words belong to each, by the match (-m) or target (-j) that brings it. As in
 * `iptables -m NAME --help` of iptables 1.8.
 *
 * What is not here ends the reading of a rule (iptables-parse.ts): the meaning of the words behind it is not known.
 */
type Options = ReadonlyMap<string, number>;

/** `--limit 1 --limit-burst 1`: options, each with its number of words. */
function options(text: string): Options {
  const words = text.split(/\s+/).filter((word) => word !== '');
  return new Map(
    words.flatMap((word, at) => (at % 2 === 0 ? [[word, Number(words[at + 1])] as const] : [])),
  );
}

function table(entries: Readonly<Record<string, string>>): ReadonlyMap<string, Options> {
  return new Map(Object.entries(entries).map(([name, text]) => [name, options(text)]));
}

/** Other names of options, and what the reader knows them by. */
export const aliases: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '--protocol': '-p',
    '--source': '-s',
    '--src': '-s',
    '--destination': '-d',
    '--dst': '-d',
    '--in-interface': '-i',
    '--out-interface': '-o',
    '--fragment': '-f',
    '--match': '-m',
    '--jump': '-j',
    '--goto': '-g',
    '--set-counters': '-c',
    '--ipv4': '-4',
    '--source-port': '--sport',
    '--destination-port': '--dport',
    '--source-ports': '--sports',
    '--destination-ports': '--dports',
    '--port': '--ports',
  }),
);

export const plainOptions: Options = options(
  '-p 1 -s 1 -d 1 -i 1 -o 1 -f 0 -m 1 -j 1 -g 1 -c 2 -4 0',
);

/** Options that can have their value glued to the letter, as in -ptcp. Some versions take -ieth0 for a strange name. */
export const gluedOptions = /^(-[psdmjg])([^-].*)$/;

const tcpOrUdp = '--sport 1 --dport 1';
const rateLimit =
  '--hashlimit 1 --hashlimit-upto 1 --hashlimit-above 1 --hashlimit-burst 1 --hashlimit-mode 1 ' +
  '--hashlimit-name 1 --hashlimit-srcmask 1 --hashlimit-dstmask 1 --hashlimit-htable-size 1 ' +
  '--hashlimit-htable-max 1 --hashlimit-htable-expire 1 --hashlimit-htable-gcinterval 1 ' +
  '--hashlimit-rate-match 0 --hashlimit-rate-interval 1';

export const matchOptions: ReadonlyMap<string, Options> = table({
  tcp: `${tcpOrUdp} --syn 0 --tcp-flags 2 --tcp-option 1`,
  udp: tcpOrUdp,
  udplite: tcpOrUdp,
  sctp: `${tcpOrUdp} --chunk-types 2`,
  dccp: `${tcpOrUdp} --dccp-types 1 --dccp-option 1`,
  icmp: '--icmp-type 1',
  multiport: '--sports 1 --dports 1 --ports 1',
  state: '--state 1',
  conntrack:
    '--ctstate 1 --ctproto 1 --ctorigsrc 1 --ctorigdst 1 --ctreplsrc 1 --ctrepldst 1 --ctorigsrcport 1 ' +
    '--ctorigdstport 1 --ctreplsrcport 1 --ctrepldstport 1 --ctstatus 1 --ctexpire 1 --ctdir 1',
  comment: '--comment 1',
  iprange: '--src-range 1 --dst-range 1',
  addrtype: '--src-type 1 --dst-type 1 --limit-iface-in 0 --limit-iface-out 0',
  pkttype: '--pkt-type 1',
  rpfilter: '--loose 0 --validmark 0 --accept-local 0 --invert 0',
  limit: '--limit 1 --limit-burst 1',
  hashlimit: rateLimit,
  connlimit:
    '--connlimit-upto 1 --connlimit-above 1 --connlimit-mask 1 --connlimit-saddr 0 --connlimit-daddr 0',
  recent:
    '--set 0 --rcheck 0 --update 0 --remove 0 --seconds 1 --reap 0 --hitcount 1 --rttl 0 --name 1 ' +
    '--rsource 0 --rdest 0 --mask 1',
  set: '--match-set 2 --return-nomatch 0 --packets-eq 1 --packets-lt 1 --packets-gt 1 --bytes-eq 1 --bytes-lt 1 --bytes-gt 1',
  mac: '--mac-source 1',
  mark: '--mark 1',
  connmark: '--mark 1',
  connbytes: '--connbytes 1 --connbytes-dir 1 --connbytes-mode 1',
  statistic: '--mode 1 --probability 1 --every 1 --packet 1',
  string: '--string 1 --hex-string 1 --algo 1 --from 1 --to 1 --icase 0',
  time: '--timestart 1 --timestop 1 --datestart 1 --datestop 1 --weekdays 1 --monthdays 1 --kerneltz 0 --contiguous 0 --utc 0',
  owner: '--uid-owner 1 --gid-owner 1 --socket-exists 0 --suppl-groups 0',
  length: '--length 1',
  ttl: '--ttl-eq 1 --ttl-lt 1 --ttl-gt 1',
  tos: '--tos 1',
  dscp: '--dscp 1 --dscp-class 1',
  ecn: '--ecn-tcp-cwr 0 --ecn-tcp-ece 0 --ecn-ip-ect 1',
  tcpmss: '--mss 1',
  helper: '--helper 1',
  physdev:
    '--physdev-in 1 --physdev-out 1 --physdev-is-in 0 --physdev-is-out 0 --physdev-is-bridged 0',
  policy:
    '--dir 1 --pol 1 --strict 0 --reqid 1 --spi 1 --proto 1 --mode 1 --tunnel-src 1 --tunnel-dst 1 --next 0',
  quota: '--quota 1',
  realm: '--realm 1',
  socket: '--transparent 0 --nowildcard 0 --restore-skmark 0',
  u32: '--u32 1',
  geoip: '--src-cc 1 --source-country 1 --dst-cc 1 --destination-country 1',
  cgroup: '--cgroup 1 --path 1',
  esp: '--espspi 1',
  ah: '--ahspi 1',
});

const marking = '--set-mark 1 --set-xmark 1 --and-mark 1 --or-mark 1 --xor-mark 1';
const toPorts = '--to-ports 1 --random 0';

export const targetOptions: ReadonlyMap<string, Options> = table({
  ACCEPT: '',
  DROP: '',
  RETURN: '',
  QUEUE: '',
  REJECT: '--reject-with 1',
  LOG: '--log-level 1 --log-prefix 1 --log-tcp-sequence 0 --log-tcp-options 0 --log-ip-options 0 --log-uid 0 --log-macdecode 0',
  NFLOG: '--nflog-group 1 --nflog-prefix 1 --nflog-range 1 --nflog-size 1 --nflog-threshold 1',
  ULOG: '--ulog-nlgroup 1 --ulog-prefix 1 --ulog-cprange 1 --ulog-qthreshold 1',
  TRACE: '',
  AUDIT: '--type 1',
  MARK: marking,
  CONNMARK: `${marking} --save-mark 0 --restore-mark 0 --nfmask 1 --ctmask 1 --mask 1`,
  CT: '--notrack 0 --helper 1 --ctevents 1 --expevents 1 --zone 1 --zone-orig 1 --zone-reply 1 --timeout 1',
  NOTRACK: '',
  CLASSIFY: '--set-class 1',
  CHECKSUM: '--checksum-fill 0',
  TCPMSS: '--set-mss 1 --clamp-mss-to-pmtu 0',
  TOS: '--set-tos 1 --and-tos 1 --or-tos 1 --xor-tos 1',
  DSCP: '--set-dscp 1 --set-dscp-class 1',
  TTL: '--ttl-set 1 --ttl-dec 1 --ttl-inc 1',
  SET: '--add-set 2 --del-set 2 --map-set 2 --exist 0 --timeout 1 --map-mark 0 --map-prio 0 --map-queue 0',
  TEE: '--gateway 1 --oif 1',
  NFQUEUE: '--queue-num 1 --queue-balance 1 --queue-bypass 0 --queue-cpu-fanout 0',
  TPROXY: '--on-port 1 --on-ip 1 --tproxy-mark 1',
  SYNPROXY: '--mss 1 --wscale 1 --sack-perm 0 --timestamp 0 --ecn 0',
  DNAT: '--to-destination 1 --random 0 --persistent 0',
  SNAT: '--to-source 1 --random 0 --random-fully 0 --persistent 0',
  MASQUERADE: `${toPorts} --random-fully 0`,
  REDIRECT: toPorts,
  NETMAP: '--to 1',
});

/** Targets after which the next rule is asked all the same. */
export const passingTargets: ReadonlySet<string> = new Set([
  'LOG',
  'NFLOG',
  'ULOG',
  'TRACE',
  'AUDIT',
  'MARK',
  'CONNMARK',
  'CLASSIFY',
  'CHECKSUM',
  'TCPMSS',
  'TOS',
  'DSCP',
  'SET',
  'TEE',
]);
