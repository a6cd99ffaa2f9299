/** Names by bit, as in linux/capability.h. */
const NAMES =
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'.split(
    ' ',
  )

/** Capabilities of a mask as /proc/<pid>/status prints it. */
export function capabilityNames(mask: bigint): string[] {
  const names: string[] = []
  for (let bit = 0n, rest = mask; rest > 0n; bit += 1n, rest >>= 1n) {
    if (rest & 1n) names.push(`cap_${NAMES[Number(bit)] ?? bit}`)
  }
  return names
}
