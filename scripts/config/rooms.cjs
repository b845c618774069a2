// The rooms of src, from the ground up, and what each may import besides itself. A name stands for the rooms in it, too.
// The README.md of a room has the same list. dependency-cruiser.cjs makes a rule of each line.
const ground = ['system', 'text'];
const packetPath = ['dataplane/wire', 'dataplane/flow', 'dataplane/match', 'dataplane/engine'];

const mayImport = {
  // What Node and the kernel do not give in one call, and how text leaves the program.
  system: [],
  text: [],
  // Holds the device open, and starts the firewall. So small that it does not fail.
  parent: [],
  // The data plane. The first four are the packet path. `tun` is apart: the engine knows no device.
  'dataplane/wire': [],
  'dataplane/flow': ['dataplane/wire'],
  'dataplane/match': ['dataplane/wire'],
  'dataplane/engine': ['dataplane/wire', 'dataplane/flow', 'dataplane/match'],
  'dataplane/tun': ground,
  'dataplane/worker': [...ground, ...packetPath, 'dataplane/tun'],
  // What people write, and what it compiles to; then other people's formats.
  policy: [...ground, 'dataplane/wire', 'dataplane/flow', 'dataplane/match'],
  'interop/rules': [...ground, 'policy'],
  'interop/captures': [...ground, ...packetPath, 'policy'],
  // The control plane: store, log and metrics; then the API; then the running firewall.
  'control/store': [...ground, 'policy'],
  'control/log': [...ground, ...packetPath],
  'control/metrics': [...ground, ...packetPath],
  'control/api': [
    ...ground,
    ...packetPath,
    'policy',
    'interop',
    'control/store',
    'control/log',
    'control/metrics',
  ],
  'control/service': [
    ...ground,
    'dataplane',
    'policy',
    'interop',
    'control/store',
    'control/log',
    'control/metrics',
    'control/api',
    'parent',
  ],
  // What `gateway` does to the machine.
  host: ground,
  // The firewall in memory, for tests: of users, and ours.
  testing: [
    ...ground,
    ...packetPath,
    'dataplane/worker',
    'policy',
    'control/store',
    'control/service',
  ],
  // Networks of namespaces with a firewall in the middle, for tests of users, and ours. Its processes are those of the program.
  lab: [...ground, 'control/store', 'testing'],
  cli: [...ground, 'dataplane', 'policy', 'interop', 'control', 'host', 'lab'],
  // Runs in browsers. Of `control/api` it may import types only.
  panel: ['text', 'control/api'],
};

module.exports = { mayImport, packetPath };
