/// <reference lib="esnext.disposable" preserve="true" />
/** `tunwall/lab`: the firewall with hosts around it and real packets between them, for tests. See docs/testing.md. */
export { Lab } from './lab.ts';
export { LabError } from './lab-error.ts';
export { FirewallConfigError } from '../testing/config-input.ts';
export type { FirewallConfig } from '../testing/config-input.ts';
export type { Gateway } from './gateway.ts';
export type { Host, Running } from './host.ts';
export type {
  ExecOptions,
  Fetched,
  Finished,
  HostOptions,
  LabDrop,
  LabFlow,
  LabOptions,
  PolicyInput,
  Probe,
  Service,
} from './types.ts';
