// SPDX-License-Identifier: Apache-2.0
// Constants whose macros do not import: ioctl commands (_IOR and kin), and O_TMPFILE, which is put together of two.
#ifndef CLINUX_CONSTANTS_H
#define CLINUX_CONSTANTS_H

#include <fcntl.h>
#include <linux/fs.h>

static const unsigned long VFS_FS_IOC_GETFLAGS = FS_IOC_GETFLAGS;
static const unsigned long VFS_FS_IOC_SETFLAGS = FS_IOC_SETFLAGS;
static const unsigned long VFS_FS_IOC_FSGETXATTR = FS_IOC_FSGETXATTR;
static const unsigned long VFS_FS_IOC_FSSETXATTR = FS_IOC_FSSETXATTR;

static const int VFS_O_TMPFILE = O_TMPFILE;

#endif
