// SPDX-License-Identifier: Apache-2.0

/// What `--version` prints; one line, exit 0, which is how launchers tell it from QEMU's own virtiofsd.
let versionLine = "virtiofsd (swift-virtiofs) 0.1.0"

/// What `--print-capabilities` prints (QEMU docs/interop/vhost-user.json). libvirt uses the long options when it finds
/// `separate-options`.
let capabilities = """
    {
      "type": "fs",
      "features": [
        "posix-acl-negotiation-mode",
        "security-label-negotiation-mode",
        "separate-options"
      ]
    }
    """
