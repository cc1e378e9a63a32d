// SPDX-License-Identifier: Apache-2.0

/// What programs rely on beyond the calls on names: contents, mappings, locks, permissions, attributes, scans.
let behaviourChecks: [Check] = [
    removedChecks, permissionChecks, setGroupIDChecks, umaskChecks, accessListChecks, timeChecks, sizeChecks,
    appendChecks, holeChecks, mappingChecks, scanChecks, lockChecks, extendedAttributeChecks, raceChecks,
    renameFlagChecks, identityChecks, unnamedChecks, directChecks, transferChecks, vectorChecks,
    openFlagChecks, synchronizationChecks, inodeFlagChecks, nameChecks, symbolicLinkChecks, specialChecks,
    programChecks, spaceChecks, notificationChecks,
].flatMap(\.self)
