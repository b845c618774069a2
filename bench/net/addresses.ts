/** Addresses of the rig (rig.ts has the picture). */
export const clientAddress = '198.51.100.2';
export const clientGateway = '198.51.100.1';
export const serverAddress = '10.0.0.2';
export const serverGateway = '10.0.0.1';
/** Sources of many flows: unused addresses of the client's network. */
export const manyFlowsFrom = '198.51.100.16';
/** Sources of the SYN flood, a /16 that the gateway knows to be behind the client. */
export const floodFrom = '198.18.0.0';
