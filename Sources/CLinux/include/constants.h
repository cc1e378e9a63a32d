// SPDX-License-Identifier: Apache-2.0
// Constants whose macros do not import: ioctl commands (_IOR and kin), and O_TMPFILE, which is put together of two.
#ifndef CLINUX_CONSTANTS_H
#define CLINUX_CONSTANTS_H

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mount.h>

static const unsigned long VFS_FS_IOC_GETFLAGS = FS_IOC_GETFLAGS;
static const unsigned long VFS_FS_IOC_SETFLAGS = FS_IOC_SETFLAGS;
static const unsigned long VFS_FS_IOC_FSGETXATTR = FS_IOC_FSGETXATTR;
static const unsigned long VFS_FS_IOC_FSSETXATTR = FS_IOC_FSSETXATTR;

static const int VFS_O_TMPFILE = O_TMPFILE;

// FUSE_DEV_IOC_CLONE of <linux/fuse.h>, whose structs are not to be seen here.
static const unsigned long VFS_FUSE_CLONE = _IOR(229, 0, uint32_t);

// Two headers declare the MS_* with different types.
static const unsigned long VFS_MS_RDONLY = MS_RDONLY;
static const unsigned long VFS_MS_PRIVATE_TREE = MS_REC | MS_PRIVATE;
static const unsigned long VFS_MS_BIND = MS_BIND;
static const unsigned long VFS_MS_BIND_READ_ONLY = MS_BIND | MS_REMOUNT | MS_RDONLY;

static const uint32_t VFS_EPOLLIN = EPOLLIN;
static const uint32_t VFS_EPOLLET = EPOLLET;
static const uint32_t VFS_EPOLLEXCLUSIVE = EPOLLEXCLUSIVE;

#endif
