/* What the addon exports: functions, and the constants that src/dataplane/tun checks its own against. */
#include "tunwall.h"

struct constant {
  const char *name;
  uint32_t value;
};

static const struct constant CONSTANTS[] = {
    {"nowMs", CONTROL_NOW_MS},
    {"woken", CONTROL_WOKEN},
    {"written", CONTROL_WRITTEN},
    {"writeFailures", CONTROL_WRITE_FAILURES},
    {"tcpRefused", CONTROL_TCP_REFUSED},
    {"udpRefused", CONTROL_UDP_REFUSED},
    {"lastErrno", CONTROL_LAST_ERRNO},
    {"controlWords", CONTROL_WORDS},
    {"vnetHeaderLength", VNET_HEADER_LENGTH},
    {"packetAlignment", PACKET_ALIGNMENT},
    {"packetStart", PACKET_START},
    {"maxPacket", MAX_PACKET},
    {"ringBufferStride", RING_BUFFER_STRIDE},
};

static napi_value make_constants(napi_env env) {
  napi_value object = NULL;
  if (napi_create_object(env, &object) != napi_ok) return NULL;
  for (size_t i = 0; i < sizeof CONSTANTS / sizeof CONSTANTS[0]; i++) {
    napi_set_named_property(env, object, CONSTANTS[i].name, make_uint32(env, CONSTANTS[i].value));
  }
  return object;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor properties[] = {
      {"attach", NULL, tun_attach, NULL, NULL, NULL, napi_enumerable, NULL},
      {"deviceOf", NULL, tun_device_of, NULL, NULL, NULL, napi_enumerable, NULL},
      {"enableQueue", NULL, tun_enable_queue, NULL, NULL, NULL, napi_enumerable, NULL},
      {"setOffload", NULL, tun_set_offload, NULL, NULL, NULL, napi_enumerable, NULL},
      {"createWake", NULL, wake_create, NULL, NULL, NULL, napi_enumerable, NULL},
      {"signalWake", NULL, wake_signal, NULL, NULL, NULL, napi_enumerable, NULL},
      {"attachedQueues", NULL, tun_attached_queues, NULL, NULL, NULL, napi_enumerable, NULL},
      {"endWithParent", NULL, end_with_parent, NULL, NULL, NULL, napi_enumerable, NULL},
      {"lockFile", NULL, file_lock, NULL, NULL, NULL, napi_enumerable, NULL},
      {"unlockFile", NULL, file_unlock, NULL, NULL, NULL, napi_enumerable, NULL},
      {"useLargePages", NULL, memory_use_large_pages, NULL, NULL, NULL, napi_enumerable, NULL},
      {"returnFreedMemory", NULL, memory_return_freed, NULL, NULL, NULL, napi_enumerable, NULL},
      {"mapFile", NULL, file_map, NULL, NULL, NULL, napi_enumerable, NULL},
      {"interfaceIndex", NULL, link_interface_index, NULL, NULL, NULL, napi_enumerable, NULL},
      {"openMap", NULL, bpf_open_map, NULL, NULL, NULL, napi_enumerable, NULL},
      {"mapMap", NULL, bpf_map_map, NULL, NULL, NULL, napi_enumerable, NULL},
      {"runProgram", NULL, bpf_run_program, NULL, NULL, NULL, napi_enumerable, NULL},
      {"networkNamespace", NULL, network_namespace, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, fd_close, NULL, NULL, NULL, napi_enumerable, NULL},
      {"bindQueue", NULL, queue_bind, NULL, NULL, NULL, napi_enumerable, NULL},
      {"constants", NULL, NULL, NULL, NULL, make_constants(env), napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof properties[0], properties);
  return exports;
}
