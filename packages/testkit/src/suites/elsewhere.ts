// Tests of parts that are judged on their own: builds, registries, networks of the user's own, swarm, managed plugins, content trust.
/** Of moby's integration-cli: they build their image, or make a network, before they look at what they are named for. */
const BUILD_OR_CONNECT = (
  "BuildHistory ContainerRestartInMultipleNetworks ContainerWithConflictingHostNetworks " +
  "ContainerWithConflictingNoneNetwork ContainerWithConflictingSharedNetwork ContainersInMultipleNetworks " +
  "ContainersInUserDefinedNetwork ContainersNetworkIsolation CreateLabelFromImage CreateUnsetEntrypoint " +
  "DuplicateMountpointsForVolumesFrom DuplicateMountpointsForVolumesFromAndBind " +
  "DuplicateMountpointsForVolumesFromAndMounts EventsContainerWithMultiNetwork EventsCopy EventsFilterImageLabels " +
  "EventsFilterNetworkID EventsFilterType EventsFilterVolumeAndNetworkType EventsImageUntagDelete ExecWithImageUser " +
  "Health ImagesEnsureImagesFromBusyboxShown ImagesEnsureImagesFromScratchShown ImagesEnsureOnlyHeadsImagesShown " +
  "ImagesFilterLabelMatch ImagesFilterSinceAndBefore ImagesOrderedByCreationDate InspectContainerNetworkCustom " +
  "NetworkEvents NetworkRmWithActiveContainers PortBindingOnSandbox PruneNetworkLabel " +
  "PsListContainersFilterAncestorImage RestartDisconnectedContainer RestartWithPolicyUserDefinedNetwork " +
  "RmiContainerImageNotFound RmiForceWithExistingContainers RmiForceWithMultipleRepositories " +
  "RmiImageIDForceWithRunningContainersAndMultipleTags RmiParentImageFail RmiUntagHistoryLayer " +
  "RunCleanupCmdOnEntrypoint RunCopyVolumeContent RunCopyVolumeUIDGID RunCreateVolumeWithSymlink " +
  "RunCreateVolumesInSymlinkDir RunCreateVolumesInSymlinkDir2 RunInitLayerPathOwnership RunNamedVolumeCopyImageData " +
  "RunTmpfsMountsOverrideImageVolumes RunUnsetEntrypoint RunVolumeCopyFlag RunVolumesCleanPaths " +
  "RunVolumesFromSymlinkPath SaveAndLoadWithProgressBar SaveLoadNoTag UnsetEnvVarHealthCheck " +
  "UserDefinedNetworkAlias UserDefinedNetworkLinks UserDefinedNetworkLinksWithRestart VolumesNoCopyData"
).split(" ");

const ELSEWHERE: Readonly<Record<string, readonly RegExp[]>> = {
  "moby-integration": [
    // They build their image first, or open a builder's session.
    /^session\/|Test(CopyFromContainer|ExecUser|APIImagesHistory|VolumePruneAnonFromImage|NoNewPrivileges)$/,
    // They make a network of their own.
    /Test(CreateWithCustomMACs|RenameAnonymousContainer|HostnameDnsResolution)$/,
    // It asks containerd, which is not there.
    /TestContainerdContainerImageInfo$/,
  ],
  "moby-cli": [
    /DockerCLIBuildSuite|DockerHubPullSuite|DockerRegistry|DockerSchema1|DockerSwarmSuite|DockerNetworkSuite/,
    new RegExp(`/Test(${BUILD_OR_CONNECT.join("|")})$`),
    /DockerCLI(Push|Pull|Plugins|PluginLogDriver|ServiceCreate|Network|ByDigest)/,
    // They build, or make networks, by the API.
    /DockerAPISuite\/Test(Build|APINetwork(ConnectDisconnect|IPAM|InspectUserDefined)|ContainersAPICreateMountsCreate$)/,
    // They start engines of their own, by Docker's program and with its flags.
    /\/TestDocker(Daemon|ExternalVolume)Suite\//,
  ],
  "docker-cli": [
    /^(trust|plugin)\/|Trust/,
    /^image\/Test(Build|Push)/,
    /^stack\/Test(DeployWithNamedResources|Remove)$/,
  ],
  "docker-py": [
    /api_build_test|api_swarm_test|api_service_test|api_secret_test|api_config_test|api_plugin_test|models_(swarm|services|nodes)_test/,
    /api_network_test|models_networks_test|test_run_with_network/,
    /[Bb]uild|::test_(pull|push)/,
  ],
  dockerode: [/build image/, /^test\/(swarm|plugin|networks)\.js/, /#buildImage|#pull|#push/],
};

/** Whether `test` of suite `name` counts for another part of the engine than the one judged here. */
export function isElsewhere(name: string, test: string): boolean {
  return (ELSEWHERE[name] ?? []).some((pattern) => pattern.test(test));
}
