/* SPDX-License-Identifier: MIT */
/* Register offsets and bits of PCI configuration space (PCI Local Bus 3.0 ch. 6, PCIe 5.0 ch. 7).
 */
#ifndef PB_PCI_REGS_H
#define PB_PCI_REGS_H

#define PCI_VENDOR_ID            0x00
#define PCI_DEVICE_ID            0x02
#define PCI_COMMAND              0x04
#define PCI_STATUS               0x06
#define PCI_REVISION             0x08
#define PCI_CACHE_LINE_SIZE      0x0c
#define PCI_LATENCY_TIMER        0x0d
#define PCI_HEADER_TYPE          0x0e
#define PCI_BIST                 0x0f
#define PCI_BAR0                 0x10
#define PCI_CARDBUS_CIS          0x28
#define PCI_SUBSYSTEM            0x2c
#define PCI_ROM_ADDRESS          0x30
#define PCI_CAPABILITIES         0x34
#define PCI_INTERRUPT_LINE       0x3c
#define PCI_INTERRUPT_PIN        0x3d
#define PCI_MIN_GNT              0x3e
#define PCI_HEADER_END           0x40

#define PCI_CARDBUS_CAPABILITIES 0x14 /* header type 2 */
#define PCI_EXT_CAPABILITIES     0x100

#define PCI_COMMAND_IO           0x0001u
#define PCI_COMMAND_MEMORY       0x0002u
#define PCI_COMMAND_MASTER       0x0004u
#define PCI_COMMAND_SPECIAL      0x0008u
#define PCI_COMMAND_INVALIDATE   0x0010u
#define PCI_COMMAND_VGA_PALETTE  0x0020u
#define PCI_COMMAND_PARITY       0x0040u
#define PCI_COMMAND_WAIT         0x0080u
#define PCI_COMMAND_SERR         0x0100u
#define PCI_COMMAND_FAST_BACK    0x0200u
#define PCI_COMMAND_INTX_DISABLE 0x0400u
#define PCI_COMMAND_RESERVED     0xf800u

#define PCI_STATUS_CAP_LIST      0x0010u

/* low bits of a base address register that do not take part in sizing */
#define PCI_BAR_IO_TYPE_MASK          0x3u
#define PCI_BAR_MEM_TYPE_MASK         0xfu
#define PCI_ROM_TYPE_MASK             0x7ffu
#define PCI_ROM_ENABLE                0x1u

#define PCI_HEADER_TYPE_MASK          0x7f
#define PCI_HEADER_TYPE_MULTIFUNCTION 0x80
#define PCI_HEADER_TYPE_NORMAL        0
#define PCI_HEADER_TYPE_BRIDGE        1
#define PCI_HEADER_TYPE_CARDBUS       2
#define PCI_CLASS_BRIDGE              0x06 /* base class */

#define PCI_BIST_START                0x40
#define PCI_BIST_CAPABLE              0x80

#define PCI_CAP_PM                    0x01
#define PCI_CAP_VPD                   0x03
#define PCI_CAP_MSI                   0x05
#define PCI_CAP_PCIX                  0x07
#define PCI_CAP_VENDOR                0x09
#define PCI_CAP_EXP                   0x10
#define PCI_CAP_MSIX                  0x11
#define PCI_CAP_AF                    0x13

/* Power Management, relative to the capability */
#define PCI_PM_PMC              2
#define PCI_PM_PMC_PME          0xf800u
#define PCI_PM_PMC_D1           0x0200u
#define PCI_PM_PMC_D2           0x0400u
#define PCI_PM_CTRL             4
#define PCI_PM_CTRL_STATE       0x0003u
#define PCI_PM_D0               0u
#define PCI_PM_D1               1u
#define PCI_PM_D2               2u
#define PCI_PM_D3HOT            3u
#define PCI_PM_CTRL_NO_SOFT_RST 0x0008u
#define PCI_PM_CTRL_PME_ENABLE  0x0100u
#define PCI_PM_CTRL_DATA_SEL    0x1e00u
#define PCI_PM_CTRL_PME_STATUS  0x8000u
#define PCI_PM_BRIDGE           6
#define PCI_PM_DATA             7
#define PCI_PM_SIZE             8

/* Vital Product Data */
#define PCI_VPD_ADDR      2
#define PCI_VPD_ADDR_F    0x8000u
#define PCI_VPD_ADDR_MASK 0x7fffu
#define PCI_VPD_DATA      4
#define PCI_VPD_SIZE      8

/* Message Signalled Interrupts */
#define PCI_MSI_FLAGS          2
#define PCI_MSI_FLAGS_ENABLE   0x0001u
#define PCI_MSI_FLAGS_QMASK    0x000eu
#define PCI_MSI_FLAGS_QSIZE    0x0070u
#define PCI_MSI_FLAGS_64BIT    0x0080u
#define PCI_MSI_FLAGS_MASKABLE 0x0100u
#define PCI_MSI_BODY           4 /* address, data, mask, pending: pb_layout_msi_dwords() of them */

#define PCI_MSIX_FLAGS         2
#define PCI_MSIX_FLAGS_QSIZE   0x07ffu
#define PCI_MSIX_FLAGS_MASKALL 0x4000u
#define PCI_MSIX_FLAGS_ENABLE  0x8000u
#define PCI_MSIX_TABLE         4
#define PCI_MSIX_PBA           8
#define PCI_MSIX_BIR           0x7u
#define PCI_MSIX_SIZE          12

/* PCI-X */
#define PCI_PCIX_CMD          2
#define PCI_PCIX_CMD_WRITABLE 0x007fu /* error recovery, relaxed ordering, reads, splits */
#define PCI_PCIX_STATUS       4

/* PCI Express */
#define PCI_EXP_FLAGS            2
#define PCI_EXP_FLAGS_VERSION    0x000fu
#define PCI_EXP_FLAGS_TYPE_SHIFT 4
#define PCI_EXP_FLAGS_TYPE_MASK  0xfu
#define PCI_EXP_TYPE_ENDPOINT    0x0
#define PCI_EXP_TYPE_LEGACY      0x1
#define PCI_EXP_TYPE_INTEGRATED  0x9
#define PCI_EXP_DEVCAP           4
#define PCI_EXP_DEVCAP_FLR       0x10000000u
#define PCI_EXP_DEVSTA           0x0a
#define PCI_EXP_DEVSTA_ERRORS    0x000fu
#define PCI_EXP_LNKCAP           0x0c
#define PCI_EXP_LNKCTL           0x10
#define PCI_EXP_LNKSTA           0x12
#define PCI_EXP_SLTCAP           0x14
#define PCI_EXP_SLTCTL           0x18
#define PCI_EXP_SLTSTA           0x1a
#define PCI_EXP_RTCTL            0x1c
#define PCI_EXP_RTSTA            0x20
#define PCI_EXP_SIZE_V1          0x24
#define PCI_EXP_DEVCAP2          0x24
#define PCI_EXP_DEVCTL2          0x28
#define PCI_EXP_DEVSTA2          0x2a
#define PCI_EXP_LNKCAP2          0x2c
#define PCI_EXP_LNKCTL2          0x30
#define PCI_EXP_LNKSTA2          0x32
#define PCI_EXP_SLTCTL2          0x38
#define PCI_EXP_SLTSTA2          0x3a
#define PCI_EXP_SIZE_V2          0x3c
/* Device Control */
#define PCI_EXP_DEVCTL         8
#define PCI_EXP_DEVCTL_ERRORS  0x000fu /* reporting of the four kinds of error */
#define PCI_EXP_DEVCTL_RELAX   0x0010u
#define PCI_EXP_DEVCTL_PAYLOAD 0x00e0u
#define PCI_EXP_DEVCTL_EXTTAG  0x0100u
#define PCI_EXP_DEVCTL_PHANTOM 0x0200u
#define PCI_EXP_DEVCTL_AUX     0x0400u
#define PCI_EXP_DEVCTL_NOSNOOP 0x0800u
#define PCI_EXP_DEVCTL_READREQ 0x7000u
#define PCI_EXP_DEVCTL_FLR     0x8000u

/* Advanced Features */
#define PCI_AF_LENGTH   2
#define PCI_AF_CAP      3
#define PCI_AF_CAP_FLR  0x02u
#define PCI_AF_STATUS   5
#define PCI_AF_CTRL     4
#define PCI_AF_CTRL_FLR 0x01u
#define PCI_AF_SIZE     6

/* extended capabilities */
#define PCI_EXT_AER        0x0001
#define PCI_EXT_VC         0x0002
#define PCI_EXT_DSN        0x0003
#define PCI_EXT_VSEC       0x000b
#define PCI_EXT_ACS        0x000d
#define PCI_EXT_TPH        0x0017
#define PCI_EXT_L1SS       0x001e
#define PCI_EXT_PTM        0x001f
#define PCI_EXT_DVSEC      0x0023
#define PCI_EXT_VERSION    0x000f0000u
#define PCI_EXT_NEXT_SHIFT 20

/* Advanced Error Reporting */
#define PCI_AER_UNCOR_STATUS   0x04
#define PCI_AER_UNCOR_MASK     0x08
#define PCI_AER_UNCOR_SEVERITY 0x0c
#define PCI_AER_COR_STATUS     0x10
#define PCI_AER_COR_MASK       0x14
#define PCI_AER_CONTROL        0x18
#define PCI_AER_CONTROL_ENABLE 0x00000540u /* ECRC generation and check, multiple headers */
#define PCI_AER_HEADER_LOG     0x1c
#define PCI_AER_ROOT_COMMAND   0x2c
#define PCI_AER_ROOT_STATUS    0x30
#define PCI_AER_PREFIX_LOG     0x38
#define PCI_AER_SIZE           0x48

#endif
