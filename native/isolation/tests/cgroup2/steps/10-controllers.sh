# The machine is what the lane is for: v2 alone, with the controllers that containers need.
. /bin/support.sh
read -r controllers </sys/fs/cgroup/cgroup.controllers
echo "kernel $(uname -r), controllers: $controllers"
for wanted in cpuset cpu io memory pids hugetlb; do
  case " $controllers " in *" $wanted "*) ;; *) fail "no controller $wanted" ;; esac
done
